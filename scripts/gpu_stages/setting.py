"""Where a run of stages happens: device, programs, libraries, folders; worked out from the command line and what is here."""
import dataclasses
import glob
import os
import pathlib
import subprocess
import sys

import files
from machine import git_commit
from runner import UsageError

RUN_SCHEMA = "stepscope.gpu-run/1"
PACK_SCHEMA = "stepscope.gpu-pack/1"
PROGRAMS = ("stepscope", "stepscope_card_tests", "stepscope_simulated", "stepscope_tests")
LIBRARIES = ("libcublasLt.so.13", "libcudnn.so.9", "libcupti.so.13")  # loaded when they are asked for


@dataclasses.dataclass
class Setting:
    out: pathlib.Path
    device: str
    commit: str
    minutes: float
    limits: dict
    again: list
    archive: pathlib.Path | None
    inside: list  # the command of a stage's own process; its name and limit are added
    root: pathlib.Path  # of scripts
    rehearsal: bool
    carried: bool  # programs of a pack
    kept_build: bool  # programs are there and are not built
    build: pathlib.Path
    programs: dict
    peer_python: str
    environment: dict
    tool_folders: tuple

    @property
    def title(self):
        kind = "REHEARSAL without a card: no figure is a card's" if self.rehearsal else "scripts/gpu"
        return f"{kind}; {self.device}, {self.commit[:7]}"


def pack_of(options, root):
    """(folder, its pack.json) where programs were carried here."""
    if options.unpacked:
        pack, why = files.read_json(options.unpacked / "pack.json", PACK_SCHEMA)
        if pack is None:
            raise UsageError(f"--unpacked {options.unpacked}: no pack: {why or 'pack.json is not there'}")
        return options.unpacked.resolve(), pack
    pack, _ = files.read_json(root / "pack.json", PACK_SCHEMA)
    return (root, pack) if pack is not None else (None, None)


def setting_of(options, script, arguments, again):
    script = pathlib.Path(script).resolve()
    root = script.parents[1]
    carried, pack = pack_of(options, root)
    if carried and options.build:
        raise UsageError("--build and a pack's programs exclude each other")
    build = (options.build or root / "build" / ("gpu-rehearsal" if options.rehearse else "gpu")).resolve()
    if options.build and not (build / "stepscope").exists():
        raise UsageError(f"--build {options.build}: no program stepscope is there")
    folder = carried / "bin" if carried else build
    programs = {name: folder / name for name in PROGRAMS}
    device = options.device or "cuda"
    if options.rehearse:
        simulated = programs["stepscope_simulated"]
        will_be = not carried and not options.build  # it is built
        device = options.device or ("simulated:h100-sxm" if simulated.exists() or will_be else "cpu")
        if device.startswith("simulated"):
            programs["stepscope"] = simulated
    elif not device.startswith("cuda"):
        raise UsageError(f"--device {device}: cuda or cuda:N is needed; --rehearse takes others")
    libraries = library_folders()
    search = os.pathsep.join(filter(None, [*libraries, os.environ.get("LD_LIBRARY_PATH", "")]))
    return Setting(out=options.out.absolute(), device=device, commit=pack["commit"] if pack else git_commit(root),
                   minutes=options.minutes, limits=options.limits, again=again,
                   archive=options.archive.absolute() if options.archive else None,
                   inside=[sys.executable, str(script), *arguments, "--inside"], root=carried or root, rehearsal=options.rehearse,
                   carried=carried is not None, kept_build=options.build is not None, build=build, programs=programs,
                   peer_python=options.peer_python, environment={"LD_LIBRARY_PATH": search} if libraries else {},
                   tool_folders=(os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"),))


def library_folders():
    """Where CUDA's libraries lie that the loader does not find by itself: a toolkit's folders, or wheels as torch and jax bring them."""
    toolkits = [folder for folder in (os.environ.get("CUDA_HOME"), "/usr/local/cuda", "/opt/cuda") if folder]
    places = [toolkit + inside for toolkit in toolkits for inside in ("/lib64", "/extras/CUPTI/lib64")]
    for packages in (f"{sys.prefix}/lib/python3*/site-packages", "/usr/lib/python3*/*-packages", "/usr/local/lib/python3*/*-packages"):
        places += sorted(glob.glob(f"{packages}/nvidia/*/lib"))
    known, folders = known_to_loader(), []
    for library in LIBRARIES:
        if library not in known:
            folders += [place for place in places if os.path.exists(os.path.join(place, library))][:1]
    return list(dict.fromkeys(folders))


def known_to_loader():
    try:
        told = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin"})
    except OSError:
        return set()
    return {words[0] for words in map(str.split, told.stdout.splitlines()) if words}
