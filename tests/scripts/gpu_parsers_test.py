#!/usr/bin/env python3
"""What stages of scripts/gpu read of other programs: GoogleTest (also one that crashes or hangs), compute-sanitizer, ncu, records."""
import importlib.machinery
import importlib.util
import json
import math
import pathlib
import sys
import tempfile
import tomllib
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts" / "gpu_stages"))
import google_test
import measured
import models
import nvidia_tools
import rates
import records
import stage

# A GoogleTest program whose tests do what their names say; "sticky" fails unless it runs alone.
PROGRAM = """#!/usr/bin/env python3
import os, sys, time
names = ["Suite.good", "Suite.bad", "Suite.sticky", "Suite.crash", "Suite.also_good", "Kinds/Table.of/0", "Suite.hang", "Suite.left_out"]
words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
if "--gtest_list_tests" in sys.argv:
    print("Running main() from gtest_main.cc")
    print("Suite.\\n" + "".join(f"  {n[6:]}\\n" for n in names if n.startswith("Suite.")), end="")
    print("Kinds/Table.\\n  of/0  # GetParam() = 5")
    sys.exit()
chosen = [name for name in names if name in words["--gtest_filter"].split(":")]
for name in chosen:
    print(f"[ RUN      ] {name}", flush=True)
    if name == "Suite.crash":
        os.abort()
    if name == "Suite.hang":
        time.sleep(60)
    bad = name == "Suite.bad" or (name == "Suite.sticky" and len(chosen) > 1)
    if bad:
        print("file.cu:7: Failure")
    outcome = "[  SKIPPED ]" if name == "Suite.left_out" else "[  FAILED  ]" if bad else "[       OK ]"
    print(f"{outcome} {name}{', where GetParam() = 5' if bad else ''} (12 ms)", flush=True)
"""


class Context:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.setting = types.SimpleNamespace(commit="0123456789abcdef", environment={})
        self.figures = []

    def figure(self, text):
        self.figures.append(text)

    def run(self, command, **_options):
        import subprocess
        return 0, subprocess.run(command, capture_output=True, text=True).stdout


class GoogleTest(unittest.TestCase):
    def run_in(self, folder):
        program = pathlib.Path(folder) / "program"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        with mock.patch("builtins.print"):
            tests = google_test.Tests(Context(folder), str(program), "*")
            with mock.patch.object(google_test, "SILENT_S", 1.0):
                tests.run()
        return tests

    def test_each_has_an_outcome_whatever_one_does_to_its_process(self):
        with tempfile.TemporaryDirectory() as folder:
            tests = self.run_in(folder)
            self.assertEqual(tests.outcomes, {
                "Suite.good": "passed", "Suite.bad": "failed", "Suite.sticky": "passed alone", "Suite.crash": "crashed",
                "Suite.also_good": "passed", "Kinds/Table.of/0": "passed", "Suite.hang": "hung", "Suite.left_out": "skipped"})
            self.assertEqual(tests.failed(), ["Suite.bad", "Suite.crash", "Suite.hang"])
            self.assertEqual(list(tests.counts())[0], "passed")
            self.assertEqual(tests.context.figures[-1], "8 of 8 tests")
            tests.file.write_text(tests.file.read_text()[:-9])  # a kill in the middle of a line
            again = google_test.Tests(tests.context, tests.program, "*")
            self.assertEqual(again.outcomes, {**tests.outcomes, "Suite.sticky": "failed"})


NCU = """==PROF== Connected to process 77 (stepscope)
==PROF== Profiling "adam" - 0: 0%....50%....100% - 1 pass
"ID","Kernel Name","Block Size","dram__bytes_read.sum","dram__bytes_write.sum","dram__throughput.avg.pct_of_peak_sustained_elapsed",\
"gpu__time_duration.sum","sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed","sm__throughput.avg.pct_of_peak_sustained_elapsed"
"","","block","Gbyte","Mbyte","%","us","%","%"
"0","adam(Adam)","(256, 1, 1)","1.99","1,493.25","88.1","871.42","0","31.5"
"""


class Tools(unittest.TestCase):
    def test_counters_are_bytes_nanoseconds_and_shares(self):
        row = nvidia_tools.read_counters(NCU)
        self.assertEqual((row["kernel"], row["read"], row["dram"]), ("adam(Adam)", 1.99e9, 88.1))
        self.assertAlmostEqual(row["written"], 1493.25e6)
        self.assertAlmostEqual(row["ns"], 871_420)
        self.assertIsNone(nvidia_tools.read_counters(NCU.replace("gpu__time_duration.sum", "another")))
        self.assertIsNone(nvidia_tools.read_counters(NCU.replace('"us"', '"fortnight"')))
        self.assertIsNone(nvidia_tools.read_counters("==ERROR== no kernels were profiled\n"))

    def test_the_kernels_that_are_counted_are_there(self):
        sources = "".join(path.read_text() for path in (ROOT / "model" / "operations").rglob("*.cu*"))
        for kernel in nvidia_tools.KERNELS:
            self.assertIn(f" {kernel}_kernel(", sources)

    def sanitized(self, status, output):
        context = types.SimpleNamespace(program=lambda: "stepscope", device="cuda", run=lambda *a, **k: (status, output))
        return nvidia_tools.sanitized(context, "compute-sanitizer", "memcheck", ["--preset", "tiny"])

    def test_a_sanitizers_verdict_is_its_summary(self):
        self.assertEqual(self.sanitized(0, "========= ERROR SUMMARY: 0 errors"), {"errors": 0})
        self.assertEqual(self.sanitized(1, "========= ERROR SUMMARY: 3 errors"), {"errors": 3})
        self.assertEqual(self.sanitized(1, "========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)"), {"errors": 2})
        with self.assertRaisesRegex(stage.Failed, "no summary"):
            self.sanitized(0, "all is well")
        with self.assertRaisesRegex(stage.Failed, "exit status 3"):
            self.sanitized(3, "========= ERROR SUMMARY: 0 errors")
        with self.assertRaisesRegex(stage.Skipped, "Device not supported"):
            self.sanitized(1, "========= Error: Device not supported. Please refer to the documentation")


def record(launch, ms, outcome="ok", **axes):
    return {"outcome": outcome, "position": 0, "bytes": {}, "axes": {"precision": "bf16", **axes, **({"launch": launch} if launch else {})},
            "step_time_ns": {"median": ms * 1e6}}


class Records(unittest.TestCase):
    def test_what_graphs_gain_is_between_twins(self):
        both = [record(None, 80, accumulation=4), record("eager", 100, accumulation=4), record(None, 10, accumulation=1)]
        self.assertAlmostEqual(measured.graph_gain(both), 0.8)
        self.assertIsNone(measured.graph_gain([record(None, 80, accumulation=1), record("eager", 100, accumulation=4)]))
        self.assertEqual(records.outcomes([record(None, 1, "out-of-memory"), *both]), "3 ok, 1 out-of-memory")

    def test_a_broken_record_is_a_failure_by_its_name(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "cells" / "one" / "record.json"
            path.parent.mkdir(parents=True)
            path.write_text('{"outcome": ')
            with self.assertRaisesRegex(stage.Failed, "record.json is not a record"):
                records.cells_of(pathlib.Path(folder))

    def test_a_visits_account_of_the_card_is_found_and_its_least_share_told(self):
        with tempfile.TemporaryDirectory() as folder:
            cell = pathlib.Path(folder) / "cells" / "one"
            cell.mkdir(parents=True)
            account = {"method": "CUPTI", "device_ns": 1000, "operations_ns": 999, "remainders": []}
            for number, profiler in enumerate((None, account, {**account, "operations_ns": 950}, {"method": "host clock"}), 1):
                (cell / f"visit-{number}.json").write_text(json.dumps({"profiler": profiler, "step_time_ns": [600, 650]}))
            accounts = measured.device_accounts(pathlib.Path(folder))
            self.assertEqual([a["device_of_steps"] for a in accounts], [0.8, 0.8])
            self.assertEqual(measured.attributed(accounts), "; 95.00 % owned")
            self.assertEqual(measured.attributed([]), "")
            (cell / "visit-5.json").write_text("{")
            with self.assertRaisesRegex(stage.Failed, "visit-5.json is not a visit"):
                measured.device_accounts(pathlib.Path(folder))

    def test_others_mfu_is_that_of_their_formula(self):
        """LLM.Q's Qwen2.5 0.5B: 149.5k tokens a second on an H100 are its 46.8 %."""
        context = types.SimpleNamespace(data=lambda **told: self.told.update(told), figure=lambda text: None,
                                        setting=types.SimpleNamespace(out=pathlib.Path("/nowhere")))
        self.told = {}
        visit = {"ns": 524_288 / 149_500 * 1e9, "used": 5, "planned": 5}
        planned = {"parameters": 494_032_768, "layers": 24, "hidden": 896, "model_flops": 1.6e15}
        with mock.patch.object(models, "card_name", lambda _: "NVIDIA H100 80GB HBM3"):
            figure = models.speed(context, planned, [visit], {})
        self.assertAlmostEqual(self.told["mfu"], 0.468, delta=0.002)
        self.assertEqual(figure, "149,500 tok/s, MFU 46.8 %, 0.0 GiB as planned")


class Rates(unittest.TestCase):
    def test_a_card_file_has_the_best_of_each_as_measured(self):
        told = {"name": "Card X", "memory_bytes": 150_754_820_096, "context_bytes": 500_000_000, "multiprocessors": 132,
                "matmuls": [{"dtype": "bf16", "m": 1, "n": 2, "k": 3, "flops": 7e14, "repeats": 20},
                            {"dtype": "bf16", "m": 4, "n": 5, "k": 6, "flops": 8e14, "repeats": 20},
                            {"dtype": "fp32", "m": 4, "n": 5, "k": 6, "flops": 5e13, "repeats": 20}]}
        context = types.SimpleNamespace(setting=types.SimpleNamespace(commit="0123456789ab"))
        card = tomllib.loads(rates.card_file(context, told, {"bf16": 8e14, "fp32": 5e13}, 4.3e12, {"driver_version": "580.1"}))
        self.assertEqual((card["bf16_flops"]["value"], card["bandwidth"]["value"]), (8e14, 4.3e12))
        self.assertEqual(card["memory_bytes"]["value"], 150_754_820_096)
        self.assertIn("4 x 5 x 6", card["bf16_flops"]["source"])
        self.assertEqual({entry["basis"] for entry in card.values() if isinstance(entry, dict)}, {"measured"})


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / "peers" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


SERVER = """import json, sys
print("a warning that is no answer")
print(json.dumps({"peer": "good", "version": "1"}), flush=True)
for number, line in enumerate(sys.stdin):
    if len(sys.argv) > 1 and sys.argv[1] == "dies" and number == 1:
        sys.exit("out of memory, say")
    print(json.dumps({"times_ms": [float(json.loads(line)["steps"])], "loss": 2.0, "peak_bytes": None}), flush=True)
"""


class Peers(unittest.TestCase):
    def test_one_that_does_not_begin_or_dies_is_left_out_and_says_why(self):
        same_step = load("same_step")
        same_step.PEERS = {"good": ["server.py", "lives"], "later": ["server.py", "dies"], "absent": ["absent.py"], "mute": ["mute.py"]}
        options = types.SimpleNamespace(python=sys.executable, device="cpu", precision="fp32", accumulation=1, patience=5.0)
        with tempfile.TemporaryDirectory() as folder:
            same_step.HERE = pathlib.Path(folder)
            (same_step.HERE / "server.py").write_text(SERVER)
            (same_step.HERE / "absent.py").write_text("import no_such_framework")
            (same_step.HERE / "mute.py").write_text("import sys, time\nprint('compiling', file=sys.stderr, flush=True)\ntime.sleep(60)")
            told = {}
            with mock.patch.object(same_step, "select", wraps=same_step.select) as patched:
                patched.select = lambda r, w, x, s: __import__("select").select(r, w, x, min(s, 1.5))
                peers = same_step.start_peers(options, {"layers": 1, "heads": 1}, same_step.HERE, told)
            self.assertEqual(sorted(peers), ["good", "later"])
            self.assertIn("No module named 'no_such_framework'", told["absent"]["left_out"])
            self.assertIn("no answer in 5 s: compiling", told["mute"]["left_out"])
            rounds = [same_step.one_round(number, 3, peers, told) for number in range(2)]
            self.assertEqual([sorted(visits) for visits in rounds], [["good", "later"], ["good"]])
            self.assertEqual((rounds[0]["good"]["times_ms"], told["later"]["left_out"]), ([4.0], "out of memory, say"))
            peers["good"].close()

    def test_ratios_are_taken_within_rounds(self):
        same_step = load("same_step")
        visit = {"loss": 2.0, "peak_bytes": None}
        rounds = [{"stepscope": {**visit, "times_ms": [ours]}, "jax": {**visit, "times_ms": [2 * ours]}} for ours in (1.0, 7.0, 3.0)]
        peer = types.SimpleNamespace(told={"version": "1", "settings": "", "device": ""})
        row = same_step.result_of("jax", [*rounds, {"stepscope": {**visit, "times_ms": [9.0]}}], peer)
        self.assertEqual((row["ratio"]["mean"], row["loss_difference"]), (0.5, 0.0))
        self.assertAlmostEqual(row["ratio"]["low"], row["ratio"]["high"])  # drift of the machine is in neither
        ratio = same_step.interval([1.0, math.e ** 2])
        self.assertAlmostEqual(ratio["mean"], math.e)
        self.assertAlmostEqual(math.log(ratio["high"]), 1 + 12.706)  # t of one degree of freedom, a deviation of sqrt(2), two rounds


if __name__ == "__main__":
    unittest.main()
