"""Rules that a tool decides: the compiler, clang-format, shellcheck."""
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess

COMPILER = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-pragma-once-outside-header"]
FORMATTER_VERSION = 14


class Stamps:
    """What held, by the content it held for: build/check/RULE has one hash a line."""

    def __init__(self, tree, rule):
        self.tree, self.path = tree, tree.root / "build" / "check" / rule
        self.known = set(self.path.read_text().split()) if self.path.exists() else set()
        self.held = set()

    def key(self, extra, names):
        digest = hashlib.sha256(repr(extra).encode())
        for name in names:
            digest.update(name.encode() + b"\0" + "\n".join(self.tree.lines(name)).encode() + b"\0")
        return digest.hexdigest()

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        partial.write_text("\n".join(sorted(self.held)) + "\n")
        partial.replace(self.path)


def output_of(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(zip(items, pool.map(function, items)))


def headers(tree):
    """Every header compiles alone. One that a .cpp includes first of all is proved by the build and is not compiled again here."""
    if not shutil.which(COMPILER):
        yield f"skipped: headers alone ({COMPILER} is not here)"
        return
    alone = [name for name in tree.code if name.endswith(".cpp") and not name.startswith("harness/commands/")]  # one file there
    first = {next(iter(tree.includes(name)), (0, "", False))[1] for name in alone}
    stamps = Stamps(tree, "headers")
    extra = [COMPILER, FLAGS, output_of([COMPILER, "-dumpfullversion"]).stdout]
    waiting = []
    for name in tree.code:
        if not name.endswith(".h") or name in first:
            continue
        if not any(line.strip() == "#pragma once" for line in tree.lines(name)):
            yield f"{name}:1: no #pragma once"
        key = stamps.key(extra, tree.closure(name))
        if key in stamps.known:
            stamps.held.add(key)
        else:
            waiting.append((name, key))

    def compile_alone(item):
        command = [COMPILER, *FLAGS, "-I.", "-x", "c++", "-include", item[0], "/dev/null"]
        return output_of(command, cwd=tree.root)

    for (name, key), done in in_parallel(compile_alone, waiting):
        if done.returncode == 0:
            stamps.held.add(key)
            continue
        errors = [line for line in done.stdout.split("\n") if re.search(r"error:", line)]
        library = re.search(r"fatal error: (\S+): No such file", done.stdout)
        if library and library[1] in tree.libraries(name):
            yield f"skipped: {name} alone ({library[1]} is not here)"
            continue
        yield f"{name}:1: does not compile alone: {(errors or [done.stdout.strip()])[0]}"
    stamps.save()


def formatter():
    """clang-format of the version that the tree is formatted with: others differ in small ways."""
    for name in (f"clang-format-{FORMATTER_VERSION}", "clang-format"):
        if shutil.which(name) and re.search(rf"version {FORMATTER_VERSION}\.", output_of([name, "--version"]).stdout):
            return name
    return None


def clang_format(tree):
    tool = formatter()
    if tool is None:
        yield f"skipped: format of C++ (clang-format {FORMATTER_VERSION} is not here)"
        return
    stamps = Stamps(tree, "format")
    keys = {name: stamps.key(tree.lines(".clang-format"), [name]) for name in tree.code}
    waiting = [name for name in tree.code if keys[name] not in stamps.known]
    stamps.held = {keys[name] for name in tree.code} & stamps.known
    for name, done in in_parallel(lambda name: output_of([tool, "-n", "-Werror", name], cwd=tree.root), waiting):
        if done.returncode == 0:
            stamps.held.add(keys[name])
            continue
        places = re.findall(r"^\S+?:(\d+):\d+: error", done.stdout, re.M)
        line = places[0] if places else 1
        yield f"{name}:{line}: not as {tool} -i would write it ({len(places)} places)"
    stamps.save()


def shell(tree):
    scripts = [name for name in tree.files
               if re.match(r"#!.*\b(ba)?sh\b|# shellcheck shell=", (tree.lines(name) or [""])[0])]
    if not shutil.which("shellcheck"):
        yield "skipped: shell scripts (shellcheck is not here)"
        return
    done = output_of(["shellcheck", "-x", "-f", "gcc", *scripts], cwd=tree.root)
    yield from (line for line in done.stdout.split("\n") if line)
