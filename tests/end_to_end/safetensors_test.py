"""safetensors, the reader by others, opens what a training saves and what it exports: every tensor, and the configuration.

It is looked for in the Python that runs this, or in the one that STEPSCOPE_SAFETENSORS_PYTHON names.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tools import PROGRAM, stepscope

READER = """
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="numpy") as file:
    print(json.dumps({"metadata": file.metadata(), "sums": {name: float(file.get_tensor(name).astype("float64").sum()) for name in file.keys()},
                      "shapes": {name: list(file.get_tensor(name).shape) for name in file.keys()}}))
"""
HIDDEN, VOCABULARY, LAYERS = 48, 256, 2


class Safetensors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not PROGRAM.is_file():
            raise unittest.SkipTest(f"{PROGRAM} is not built")
        cls.python = os.environ.get("STEPSCOPE_SAFETENSORS_PYTHON", sys.executable)
        if subprocess.run([cls.python, "-c", "import safetensors, numpy"], capture_output=True).returncode != 0:
            raise unittest.SkipTest(f"safetensors is not in {cls.python}; STEPSCOPE_SAFETENSORS_PYTHON may name another")
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        out = pathlib.Path(cls.folder.name)
        stepscope("train", "--preset", "gpt2-tiny", "--steps", "2", "--out", out / "run", "--export", f"hf:{out / 'export'}")
        cls.state, cls.export = cls.read(out / "run" / "state.safetensors"), cls.read(out / "export" / "model.safetensors")

    @classmethod
    def read(cls, file):
        done = subprocess.run([cls.python, "-c", READER, str(file)], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def test_the_state_has_every_parameter_and_its_moments(self):
        parameters = [name for name in self.state["shapes"] if not name.startswith("moment")]
        self.assertEqual(self.state["shapes"]["embedding"], [VOCABULARY, HIDDEN])
        self.assertEqual(self.state["shapes"]["blocks.0.attention.qkv.weight"], [HIDDEN, 3 * HIDDEN])
        self.assertEqual(len(parameters), 2 + 12 * LAYERS + 2)  # a tied head has none of its own
        self.assertEqual(len(self.state["shapes"]), 3 * len(parameters))

    def test_the_state_carries_its_configuration(self):
        lines = self.state["metadata"]["configuration"].splitlines()
        for line in ("model.preset = gpt2-tiny", f"model.hidden = {HIDDEN}", "training.optimizer = adamw", "techniques.precision = fp32"):
            self.assertIn(line, lines)
        self.assertEqual(self.state["metadata"]["step"], "2")

    def test_the_export_has_the_states_numbers(self):
        self.assertEqual(self.export["metadata"]["format"], "pt")
        self.assertEqual(len(self.export["shapes"]), 2 + 12 * LAYERS + 2)
        for theirs, ours in (("transformer.wte.weight", "embedding"), ("transformer.h.1.attn.c_attn.weight", "blocks.1.attention.qkv.weight"),
                             ("transformer.h.0.mlp.c_fc.bias", "blocks.0.mlp.up.bias"), ("transformer.ln_f.weight", "final_norm.scale")):
            self.assertAlmostEqual(self.export["sums"][theirs], self.state["sums"][ours], delta=1e-9)


if __name__ == "__main__":
    unittest.main()
