"""What a stage is given: the device, the programs, a folder of its own, commands whose output is kept, parts that are done once.

    def run(context):
        for name in ("a", "b"):
            got = context.part(name, lambda: {"ms": measure(name)})     # a resumed stage has it from its file
        return "2 measured"                                              # the figure in the summary
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import files
import processes
import results

PART_SCHEMA = "stepscope.gpu-part/1"
TOOL_FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin")


class Skipped(Exception):
    """It cannot be run here; the text says why."""


class Failed(Exception):
    """It ran and what it holds up to is not so, or a command failed."""


class Context:
    def __init__(self, setting, name, limit_s):
        """setting: as of the runner, with programs {name: path}, root (of scripts, matrices), rehearsal, peer_python."""
        self.setting, self.name = setting, name
        self.device, self.rehearsal, self.root = setting.device, setting.rehearsal, setting.root
        self.folder = setting.out / "stages" / name
        self._until = time.monotonic() + limit_s
        self._said = {"figure": "", "data": {}}
        self.where = "simulated: " if self.device.startswith("simulated") else "CPU: " if self.device == "cpu" else ""

    def left_s(self):
        return self._until - time.monotonic()

    def figure(self, text):
        """So far; the last one stands in the summary, also where the stage is ended at its limit. What is no card's says so."""
        self._said["figure"] = self.where + text if text else ""
        results.tell(self.folder, **self._said)

    def data(self, **values):
        self._said["data"].update(values)
        results.tell(self.folder, **self._said)

    def end(self, state, reason):
        try:
            results.tell(self.folder, **self._said, state=state, reason=reason)
        except OSError as error:
            print(f"told.json: {error.strerror}", file=sys.stderr)

    def part(self, name, work):
        """work()'s dict, made once: a stage that is run again reads what an earlier run of the same program finished."""
        path = self.folder / "parts" / f"{name}.json"
        kept, _ = files.read_json(path, PART_SCHEMA)
        if kept is not None and kept.get("commit") == self.setting.commit:
            return kept["value"]
        value = work()
        path.parent.mkdir(exist_ok=True)
        files.write_json(path, {"schema": PART_SCHEMA, "commit": self.setting.commit, "value": value})
        return value

    def program(self, name="stepscope"):
        path = self.setting.programs.get(name)
        if path is None or not os.access(path, os.X_OK):
            raise Skipped(f"no {name} here")
        return str(path)

    def matrix(self, name):
        return self.root / "scripts" / "gpu_stages" / "matrices" / name

    def tool(self, name):
        found = shutil.which(name) or shutil.which(name, path=os.pathsep.join((*self.setting.tool_folders, *TOOL_FOLDERS)))
        if found is None:
            raise Skipped(f"no {name} here")
        return found

    def run(self, command, limit_s=None, may_fail=False, env=None):
        """(status, output) of a command; its output goes to log.txt too. None is its status where a limit ended it."""
        limit_s = max(1.0, min(limit_s or self.left_s(), self.left_s() - 1))
        print("$", " ".join(map(str, command)), flush=True)
        environment = {**os.environ, **self.setting.environment, **(env or {})}
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", env=environment,
                                   start_new_session=True, preexec_fn=processes.die_with_parent)
        try:
            output, _ = process.communicate(timeout=limit_s)
            status = process.returncode
        except subprocess.TimeoutExpired:
            status, output = None, end_of(process)
        print(output, flush=True)
        if not may_fail and status != 0:
            lines = output.strip().splitlines() or [""]
            name = pathlib.Path(str(command[0])).name
            raise Failed(f"{name}: {lines[-1].removeprefix(f'{name}: ')} ({told_by(status, limit_s)})")
        return status, output

    def large_device(self):
        """For what a processor would take hours to compute: a simulated card then only tells what its kernels would cost."""
        if self.device == "cpu":
            raise Skipped("takes a card, or the simulated one")
        return self.device + ("" if self.device.startswith("cuda") else ",costed")


def end_of(process):
    """Kills a process with its group; what it had printed."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    return process.communicate()[0] or ""


def told_by(status, limit_s):
    if status is None:
        return f"ended after {limit_s:.0f} s"
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def last_json(output):
    """The last line that is an object, as every --json prints it."""
    lines = [line for line in output.splitlines() if re.match(r"\{.*\}$", line)]
    if not lines:
        raise Failed("no line of JSON was printed")
    return json.loads(lines[-1])
