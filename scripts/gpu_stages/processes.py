"""Processes that end when they should: with their parent, at a limit, and what an earlier run left behind.

    process = start([...], mark, log)         # marked, dies with this process
    end_all(mark)                             # every process that carries the mark, wherever it stands in the tree
"""
import ctypes
import os
import pathlib
import signal
import subprocess
import time

VARIABLE = "STEPSCOPE_GPU_MARK"  # in the environment of all that a run of stages starts
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In a new process: the kernel kills it when the process that started it ends, however it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command, mark, log, **options):
    """A marked process in a session of its own (a terminal's Ctrl-C is the parent's to hand on); output goes to `log`."""
    environment = {**options.pop("env", os.environ), VARIABLE: mark}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
                            start_new_session=True, preexec_fn=die_with_parent, **options)


def marked(mark):
    """Process ids that carry the mark, this process not among them."""
    entry = f"{VARIABLE}={mark}".encode()
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # gone, or another user's
            continue
    return found


def end_all(mark, patience_s=5.0):
    """Kills them until none is left: one that is killed may just have started another. Returns what would not end."""
    deadline = time.monotonic() + patience_s
    while (left := marked(mark)) and time.monotonic() < deadline:
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    return left
