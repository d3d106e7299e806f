"""What Nsight Systems itself makes of a training's ranges, held against the program: order, names, nesting, categories.

nsys is looked for in PATH, or where STEPSCOPE_NSYS says. Its importer needs libraries that Debian's packages name otherwise
(libssh.so): LD_LIBRARY_PATH is passed on.
"""
import csv
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from tools import PROGRAM, skip_unless_full, stepscope

CELL = ["--preset", "tiny", "--threads", "1", "--set", "precision=bf16", "--set", "checkpointing=TransformerBlock",
        "--set", "accumulation=2"]
MICRO_STEPS, STEPS = 2, 3
OPERATION = re.compile(r"^\d+ (\w+) (?:.* = )?(\w+)\(.*\).*  # (\S*)")
NAMES_A_CATEGORY, IS_A_RANGE = 33, 59  # NVTX_EVENTS.eventType


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Nsight:
    """The command-line tool. Debian splits it over two folders, and its `profile` leaves the import to a second program."""

    def __init__(self, nsys):
        self.nsys = pathlib.Path(nsys).resolve()
        places = [parent / place for parent in self.nsys.parents
                  for place in ("host-linux-x64", "nsight-systems/host-linux-x64")]
        self.host = next((place for place in places if (place / "QdstrmImporter").is_file()), None)

    def profile(self, report, *command):
        run([self.nsys, "profile", "-t", "nvtx", "-s", "none", "--cpuctxsw=none", "-o", report, *command])
        if not report.with_suffix(".nsys-rep").exists():
            starts = subprocess.run([self.host / "QdstrmImporter", "--help"], capture_output=True, text=True)
            if starts.returncode == 127:  # unpacked without what it needs
                raise unittest.SkipTest(f"Nsight Systems' importer does not start here: {starts.stderr.strip()}")
            run([self.host / "QdstrmImporter", "--input-file", report.with_suffix(".qdstrm"),
                 "--output-file", report.with_suffix(".nsys-rep")])

    def ranges(self, report):
        """Rows of the report of pushed ranges; it has another name since 2023. Leaves an .sqlite beside the report."""
        beside = self.host.parent / "bin/nsys" if self.host else self.nsys
        nsys = beside if beside.is_file() else self.nsys
        for name in ("nvtx_pptrace", "nvtxpptrace"):
            done = subprocess.run([nsys, "stats", "--report", name, "--format", "csv", report.with_suffix(".nsys-rep")],
                                  capture_output=True, text=True, errors="replace", cwd=self.host)
            lines = done.stdout.split("\n")
            begin = next((n for n, line in enumerate(lines) if line.startswith("Start (ns)")), None)
            if begin is not None:
                return list(csv.DictReader(line for line in lines[begin:] if line.strip()))
        raise AssertionError(f"nsys stats: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def operations_of_a_step():
    """(what stands around it, operation) in the order in which they run, from the program that `plan` prints."""
    dump = [OPERATION.match(line).groups() for line in stepscope("plan", *CELL, "--dump").split("\n")
            if line and not line.startswith("#")]
    once = {phase: [row for row in dump if row[0] == phase] for phase in ("prologue", "update")}
    micro = [row for row in dump if row[0] not in once]
    order = [(None, row) for row in once["prologue"]]
    for m in range(MICRO_STEPS):
        order += [(m, row) for row in micro]
    order += [(None, row) for row in once["update"]]
    for micro_step, (phase, kind, path) in order:
        yield ["step"] + ([] if micro_step is None else [f"micro-step {micro_step}"]) + [phase], path, kind


class NsightSystems(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        skip_unless_full()
        nsys = os.environ.get("STEPSCOPE_NSYS") or shutil.which("nsys")
        if not nsys:
            raise unittest.SkipTest("Nsight Systems is not here: no nsys in PATH, STEPSCOPE_NSYS is not set")
        if not json.loads(stepscope("devices", "--json").split("\n")[0])["nvtx_ranges"]:
            raise unittest.SkipTest("built without NVTX: its headers were not found")
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        report = pathlib.Path(cls.folder.name, "report")
        tool = Nsight(nsys)
        tool.profile(report, PROGRAM, "train", *CELL, "--steps", str(STEPS), "--out", pathlib.Path(cls.folder.name, "training"))
        cls.rows = tool.ranges(report)
        cls.events = sqlite3.connect(report.with_suffix(".sqlite"))
        cls.by_id = {row["RangeId"]: row for row in cls.rows}

    def names_around(self, row):
        names = []
        while row["ParentId"] not in ("None", "", None):
            row = self.by_id[row["ParentId"]]
            names.insert(0, row["Name"].removeprefix("stepscope:"))
        return names

    def test_all_ranges_are_the_domains(self):
        self.assertEqual({row["Name"].split(":")[0] for row in self.rows}, {"stepscope"})
        self.assertEqual([row["Name"] for row in self.rows if row["Lvl"] == "0"], ["stepscope:step"] * STEPS)

    def test_innermost_ranges_are_the_programs_operations_in_order(self):
        seen = []
        for row in self.rows:
            if row["NumChild"] == "0":
                around = self.names_around(row)
                outer = 3 if around[1].startswith("micro-step") else 2
                seen.append((around[:outer], ".".join(around[outer:]), row["Name"].removeprefix("stepscope:")))
        self.assertEqual(seen, list(operations_of_a_step()) * STEPS)

    def test_a_range_lies_within_the_one_around_it(self):
        for row in self.rows:
            self.assertLessEqual(int(row["Start (ns)"]), int(row["End (ns)"]))
            if row["ParentId"] in self.by_id:
                outer = self.by_id[row["ParentId"]]
                self.assertLessEqual(int(outer["Start (ns)"]), int(row["Start (ns)"]))
                self.assertLessEqual(int(row["End (ns)"]), int(outer["End (ns)"]))

    def test_categories_have_names_and_hold_what_they_say(self):
        names = dict(self.events.execute("SELECT category, text FROM NVTX_EVENTS WHERE eventType = ?", [NAMES_A_CATEGORY]))
        self.assertEqual(set(names.values()), {"step", "prologue", "forward", "recompute", "backward", "update"})
        held = self.events.execute("SELECT category, COUNT(*) FROM NVTX_EVENTS WHERE eventType = ? AND textId IN "
                                   "(SELECT id FROM StringIds WHERE value = 'gelu') GROUP BY category", [IS_A_RANGE])
        # Two blocks, each with a gelu in its MLP; recomputed once in the backward phase.
        self.assertEqual({names[category]: count for category, count in held},
                         {"forward": 2 * MICRO_STEPS * STEPS, "recompute": 2 * MICRO_STEPS * STEPS})


if __name__ == "__main__":
    unittest.main()
