#!/usr/bin/env python3
"""scripts/fuzz knows every target, keeps corpora as they are, and its table is the one in the repository."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load():
    loader = importlib.machinery.SourceFileLoader("fuzz", str(ROOT / "scripts" / "fuzz"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("fuzz", loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
fuzz = load()


class Fuzz(unittest.TestCase):
    def test_every_target_has_a_corpus_and_every_corpus_a_target(self):
        corpora = sorted(p.stem for p in (ROOT / "tests" / "fuzz" / "corpora").glob("*.hex"))
        self.assertEqual(corpora, sorted(fuzz.targets()))
        self.assertEqual(sorted(fuzz.SEEDS.keys() - set(fuzz.targets())), [])
        for target, patterns in fuzz.SEEDS.items():
            for pattern in patterns:
                self.assertTrue(list(ROOT.glob(pattern)), f"{target}: {pattern}")

    def test_a_corpus_is_written_as_it_is_read_the_shortest_first(self):
        with tempfile.TemporaryDirectory() as folder:
            fuzz.FOLDER, kept = pathlib.Path(folder), fuzz.FOLDER
            try:
                fuzz.write_corpus("card", [b"long one", b"", b"\x00\xff", b"\x00\xff"])
                self.assertEqual(fuzz.read_corpus("card"), [b"\x00\xff", b"long one"])  # an empty line is no input
            finally:
                fuzz.FOLDER = kept

    def test_the_table_is_of_the_recorded_executions(self):
        self.assertEqual((ROOT / "tests" / "fuzz" / "README.md").read_text(), "\n".join(fuzz.page(fuzz.read_table())) + "\n")


if __name__ == "__main__":
    unittest.main()
