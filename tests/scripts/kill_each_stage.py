#!/usr/bin/env python3
"""Runs scripts/gpu and kills it with -9 once in each stage that runs, at a random moment of its first seconds; then lets it end.

    tests/scripts/kill_each_stage.py --rehearse --build build/test --out runs/rehearsal     # the words are those of scripts/gpu

OUT/kills.txt tells when: a line a stage, its seconds until the kill, what processes were left a moment later. Its exit status is that of
the last call. A stage that ends before it can be killed (it is skipped, say) is none of them.
"""
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "gpu_stages"))
sys.dont_write_bytecode = True
import processes


def running(out):
    """The stage that runs now, by the summary."""
    try:
        match = re.search(r"^(\S+)\s+running", (out / "summary.txt").read_text(), re.M)
    except OSError:
        return None
    return match[1] if match else None


def killed_in(process, out, killed):
    """Kills it in a stage that was not killed in yet: (stage, seconds), or None where it ended before."""
    while process.poll() is None:
        stage = running(out)
        if stage is None or stage in killed:
            time.sleep(0.01)
            continue
        patience, begin = random.uniform(0.05, 1.2), time.monotonic()
        while process.poll() is None and running(out) == stage and time.monotonic() - begin < patience:
            time.sleep(0.01)
        if process.poll() is None and running(out) == stage:
            process.kill()
            process.wait()
            return stage, time.monotonic() - begin
        killed.add(stage)  # it ended by itself
    return None


def main():
    words = sys.argv[1:]
    if "--out" not in words:
        sys.exit("kill_each_stage: --out DIR is needed")
    out = pathlib.Path(words[words.index("--out") + 1])
    if (out / "run.json").exists():
        sys.exit(f"kill_each_stage: {out}: holds a run; a new folder is needed")
    killed, lines = set(), []
    while True:
        process = subprocess.Popen([ROOT / "scripts" / "gpu", *words], stdout=subprocess.DEVNULL)
        end = killed_in(process, out, killed)
        if end is None:
            break
        killed.add(end[0])
        time.sleep(0.5)
        left = len(processes.marked(str(out.resolve())))
        lines.append(f"{end[0]} killed after {end[1]:.2f} s, {left} processes left half a second later")
        print(lines[-1], flush=True)
    (out / "kills.txt").write_text("".join(line + "\n" for line in lines))
    print((out / "summary.txt").read_text(), end="")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
