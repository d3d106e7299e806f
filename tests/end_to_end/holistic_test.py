"""HolisticTraceAnalysis, a reader by others, loads a trace: its totals are those of the visit that wrote it.

It is looked for in the Python that runs this, or in the one that STEPSCOPE_HTA_PYTHON names.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tools import skip_unless_full, stepscope

STEPS = 3
CELL = f"""[model]
preset = "tiny"
[matrix]
precision = ["bf16"]
checkpointing = ["TransformerBlock"]
accumulation = [2]
[measure]
warmup_steps = 1
profiled_steps = {STEPS}
"""
READER = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
from hta.trace_analysis import TraceAnalysis
analysis = TraceAnalysis(trace_dir=sys.argv[1], include_last_profiler_step=True)
frame = analysis.t.get_trace(0)
names = analysis.t.symbol_table.sym_table
frame = frame.assign(name=[names[n] for n in frame["name"]], cat=[names[c] for c in frame["cat"]])
operations = frame[frame["cat"] == "cpu_op"]
annotations = analysis.get_gpu_user_annotation_breakdown(use_gpu_annotation=False, visualize=False)
print(json.dumps({"operations": operations.groupby("name")["dur"].sum().to_dict(),
                  "counts": operations.groupby("name")["dur"].count().to_dict(),
                  "bytes": int(operations["bytes"].sum()),
                  "iterations": operations.groupby("iteration")["dur"].count().to_dict(),
                  "annotations": dict(zip(annotations["name"], annotations["sum (us)"]))}))
"""


class Holistic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        skip_unless_full()
        python = os.environ.get("STEPSCOPE_HTA_PYTHON", sys.executable)
        if subprocess.run([python, "-c", "import hta"], capture_output=True).returncode != 0:
            raise unittest.SkipTest(f"HolisticTraceAnalysis is not in {python}; STEPSCOPE_HTA_PYTHON may name another")
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "cell.toml").write_text(CELL)
            traces = pathlib.Path(folder, "traces")
            traces.mkdir()
            stepscope("worker", pathlib.Path(folder, "cell.toml"), traces / "visit-1.txt", "--kind", "profiled", "--threads", "1")
            cls.visit = json.loads((traces / "visit-1.txt").read_text())
            done = subprocess.run([python, "-c", READER, str(traces)], capture_output=True, text=True,
                                  env={**os.environ, "HTA_DISABLE_NS_ROUNDING": "1"})
            if done.returncode != 0:
                raise AssertionError(done.stderr)
            cls.seen = json.loads(done.stdout.strip().split("\n")[-1])

    def sums(self, key):
        sums = {}
        for span in self.visit["spans"]:
            if span["phase"] != "between":
                sums[span["operation"]] = sums.get(span["operation"], 0) + STEPS * span[key]
        return sums

    def test_time_of_every_operation_is_the_visits(self):
        expected = self.sums("time_ns")
        self.assertEqual(set(self.seen["operations"]), set(expected))
        for name, us in self.seen["operations"].items():
            self.assertAlmostEqual(us, expected[name] / 1000, delta=1e-6 * us)
        self.assertEqual(self.seen["counts"], self.sums("count"))

    def test_bytes_are_the_visits(self):
        self.assertEqual(self.seen["bytes"], sum(self.sums("bytes").values()))

    def test_steps_are_found_and_sum_to_the_visit(self):
        steps = {name: us for name, us in self.seen["annotations"].items() if name.startswith("ProfilerStep#")}
        self.assertEqual(len(steps), STEPS)
        self.assertEqual(len(set(self.seen["iterations"].values())), 1)  # as many operations in each
        total_us = sum(STEPS * span["time_ns"] for span in self.visit["spans"]) / 1000  # gaps are a row of it
        self.assertAlmostEqual(sum(steps.values()), total_us, delta=1e-6 * total_us)

    def test_layers_and_phases_are_annotations(self):
        for name in ("forward", "recompute", "backward", "update", "blocks.1.mlp.up", "micro-step 1"):
            self.assertIn(name, self.seen["annotations"])


if __name__ == "__main__":
    unittest.main()
