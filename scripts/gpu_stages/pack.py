"""What a bare machine with a driver and python3 needs to run the stages: programs, the shared libraries they take, scripts, cards, matrices.

    FOLDER/bin lib scripts share pack.json, and FOLDER.tar.xz      # FOLDER/scripts/gpu runs the programs beside it

Built here for processors of x86-64-v3 and cards from sm_80 on. Carried: every library but glibc, which the other machine must have in
this one's version or a newer one, and what is loaded when a card is asked for (driver, cuBLASLt, cuDNN, CUPTI), which it has itself.
"""
import os
import re
import shutil
import subprocess
import sys
import tarfile

import files
from machine import git_commit
from runner import UsageError
from setting import PACK_SCHEMA

ARCHITECTURES = "sm_80;sm_90;compute_90"
GLIBC = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv)|linux-vdso)\.so")
OPTIONS = ["-DSTEPSCOPE_TESTS=ON", "-DSTEPSCOPE_HOST_SIMT=OFF", "-DSTEPSCOPE_CUDA=ON", f'"-DSTEPSCOPE_CUDA_ARCHITECTURES={ARCHITECTURES}"',
           "-DSTEPSCOPE_MARCH=x86-64-v3", "'-DCMAKE_BUILD_RPATH=$ORIGIN/../lib'", "'-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib'",
           "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags"]  # an RPATH, unlike a RUNPATH, holds for the libraries of libraries
SCRIPTS = ("gpu", "gpu_stages", "peers", "report", "report_page")


def make(folder, root):
    """The exit status. FOLDER appears whole; what was there is replaced only if it was a pack."""
    folder = folder.absolute()
    if folder.exists() and not (folder / "pack.json").exists():
        raise UsageError(f"--pack {folder}: is there and is no pack; another name is needed")
    if hinders := files.what_hinders_writing(folder.parent):
        raise UsageError(f"--pack {folder}: cannot be written: {hinders}")
    if shutil.which("nvcc") is None and not os.path.exists("/usr/local/cuda/bin/nvcc") and "CUDA_HOME" not in os.environ:
        raise UsageError("--pack: no nvcc here; scripts/cuda_toolkit fetches one, CUDA_HOME says where it is")
    build = root / "build" / "gpu-pack"
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        build_programs(root, build)
        assemble(root, build, partial)
        check(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except subprocess.CalledProcessError as error:
        print(f"scripts/gpu: --pack: {error.cmd[0]}: exit status {error.returncode}", file=sys.stderr)
        return 3
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"{folder}: {megabytes(size_of(folder))}; {folder.name}.tar.xz: {megabytes(compress(folder))}")
    return 0


def build_programs(root, build):
    script = (". scripts/lib/stages.sh; . scripts/lib/packages.sh; . scripts/lib/build.sh; get_packages build tests; get_nvtx; "
              "get_cudnn_frontend; "
              f"build '{build}' card_tests_object {' '.join(OPTIONS)} && "
              f"quietly '{build}.log' cmake --build '{build}' --target stepscope stepscope_card_tests -j \"$(nproc)\"")
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=root, check=True)


def assemble(root, build, folder):
    folder.mkdir(parents=True)
    subprocess.run(["cmake", "--install", build, "--prefix", folder, "--strip"], check=True, stdout=subprocess.DEVNULL)
    shutil.copy2(build / "stepscope_card_tests", folder / "bin")
    subprocess.run(["strip", folder / "bin" / "stepscope_card_tests"], check=True)
    (folder / "lib").mkdir()
    for path in libraries_of([build / "stepscope", build / "stepscope_card_tests"]):
        shutil.copy2(path, folder / "lib")
    (folder / "scripts").mkdir()
    for name in SCRIPTS:
        source = root / "scripts" / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / "scripts" / name, **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}))
    files.write_json(folder / "pack.json", {"schema": PACK_SCHEMA, "commit": git_commit(root), "architectures": ARCHITECTURES,
                                            "glibc": os.confstr("CS_GNU_LIBC_VERSION"),
                                            "libraries": sorted(path.name for path in (folder / "lib").iterdir())})


def loaded_by(program):
    """{name: path} of what the loader finds for a program; path "" where it finds none."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {match[1]: match[2] or "" for match in re.finditer(r"^\s*(\S+) => (?:(/\S+)|not found)", told, re.M)}


def libraries_of(programs):
    found = {}
    for program in programs:
        found.update((name, path) for name, path in loaded_by(program).items() if not GLIBC.match(name))
    missing = [name for name, path in found.items() if not path]
    if missing:
        raise UsageError(f"--pack: {missing[0]} is not found here")
    return sorted(found.values())


def check(folder):
    """The pack's programs take their libraries from it, and start."""
    for name in ("stepscope", "stepscope_card_tests"):
        outside = [f"{path}" for library, path in loaded_by(folder / "bin" / name).items()
                   if not GLIBC.match(library) and not path.startswith(str(folder))]
        if outside:
            raise UsageError(f"--pack: {name} would take {outside[0]} from this machine")
    subprocess.run([folder / "bin" / "stepscope", "step", "--preset", "tiny", "--json"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([folder / "bin" / "stepscope_card_tests", "--gtest_list_tests"], check=True, stdout=subprocess.DEVNULL)


def compress(folder):
    file = folder.with_name(folder.name + ".tar.xz")
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with tarfile.open(partial, "w:xz", preset=6) as archive:
            archive.add(folder, arcname=folder.name)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def megabytes(size):
    return f"{size / 1e6:.1f} MB"
