"""Tests of a GoogleTest program, each with an outcome of its own, whatever one of them does to its process or to the card.

An error of a card sticks to its process: what fails is run again alone, and counts as passed if it passes there. A test that ends its process
or says nothing for a while has crashed or hung; the others go on in a new process. Outcomes are written line by line, so that
a stage that was killed goes on behind the last.
"""
import os
import re
import select
import subprocess
import time

import processes
from stage import Failed

SILENT_S = 90.0
MOST_ALONE = 25  # failed tests that are run again
ENDED = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
LINE = re.compile(r"\[\s*(RUN|OK|FAILED|SKIPPED)\s*\] ([\w/.]+)(?:,.*)?(?: \((\d+) ms\))?$")


class Tests:
    def __init__(self, context, program, pattern):
        self.context, self.program = context, program
        self.file = context.folder / "parts" / f"{re.sub(r'[^A-Za-z]+', '_', pattern).strip('_')}-{context.setting.commit[:12]}.tsv"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.names = self.listed(pattern)
        self.outcomes = self.kept()

    def listed(self, pattern):
        _, output = self.context.run([self.program, "--gtest_list_tests", f"--gtest_filter={pattern}"], limit_s=60)
        names, suite = [], ""
        for line in output.splitlines():
            word = line.split("#")[0].strip()
            if line.startswith("  ") and suite and word:
                names.append(suite + word)
            elif re.match(r"[\w/]+\.$", word):
                suite = word
        if not names:
            raise Failed(f"{self.program} has no tests that match {pattern}")
        return names

    def kept(self):
        """A last line that is not whole is left out: its test runs again."""
        text = self.file.read_text() if self.file.exists() else ""
        rows = [line.split("\t") for line in text.split("\n")[:-1]]
        return {row[1]: row[0] for row in rows if len(row) == 3}

    def keep(self, name, outcome, ms=0):
        self.outcomes[name] = outcome
        with open(self.file, "a") as stream:
            stream.write(f"{outcome}\t{name}\t{ms}\n")

    def run(self):
        while pending := [name for name in self.names if name not in self.outcomes]:
            running = self.one_process(pending)
            if running:
                self.keep(*running)
            elif len(pending) == sum(name not in self.outcomes for name in self.names):
                raise Failed("a process of tests ended without running one")
        if len(self.names) > 1:
            for name in [name for name in self.names if self.outcomes[name] == "failed"][:MOST_ALONE]:
                self.one_process([name], alone=True)

    def one_process(self, names, alone=False):
        """Runs them until the process ends. (name, "crashed" or "hung") of the test in which it did, None where all ended."""
        print(f"$ {self.program}, {len(names)} tests", flush=True)
        process = subprocess.Popen([self.program, "--gtest_color=no", f"--gtest_filter={':'.join(names)}"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=processes.die_with_parent,
                                   env={**os.environ, **self.context.setting.environment})
        running, hung = None, False
        for line in lines_of(process.stdout, SILENT_S):
            if line is None:
                hung = True
                break
            match = LINE.match(line)
            if not match:
                print(line, flush=True)
            elif match[1] == "RUN":
                running = match[2]
            elif match[2] == running:
                outcome = ENDED[match[1]]
                if not alone or outcome == "passed":
                    self.keep(running, "passed alone" if alone else outcome, match[3] or 0)
                running = None
                self.context.figure(f"{len(self.outcomes)} of {len(self.names)} tests")
        process.kill()
        process.wait()
        process.stdout.close()
        print(f"status {process.returncode}", flush=True)
        return (running, "hung" if hung else "crashed") if running else None

    def counts(self):
        counts = {}
        for name in self.names:
            outcome = self.outcomes.get(name, "not run")
            counts[outcome] = counts.get(outcome, 0) + 1
        return {key: counts[key] for key in sorted(counts, key=lambda key: (key != "passed", key))}

    def failed(self):
        return [name for name in self.names if self.outcomes.get(name) not in ("passed", "skipped", "passed alone")]


def lines_of(stream, patience_s):
    """Lines of a pipe as they come; None once nothing came for so long."""
    text, descriptor = b"", stream.fileno()
    until = time.monotonic() + patience_s
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            yield None
            return
        more = os.read(descriptor, 65536)
        if not more:
            break
        until = time.monotonic() + patience_s
        *lines, text = (text + more).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
    if text:
        yield text.decode(errors="replace")
