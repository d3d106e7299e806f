#!/usr/bin/env python3
"""The lists of mutations fit the source, and scripts/mutations tells of a list that does not. They are run by hand."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOUND = '[[mutation]]\nname = "a"\nfile = "model/a.cu"\nfind = "i < n"\nreplace = "i <= n"\ntests = "A.*"\n'


def load():
    loader = importlib.machinery.SourceFileLoader("mutations", str(ROOT / "scripts" / "mutations"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutations", loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
mutations = load()


def read(entries, source="for (; i < n;)\n"):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {"model/a.cu": source, "tests/mutations/list.toml": entries}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return mutations.read_lists(root)


class Mutations(unittest.TestCase):
    def test_the_lists_fit_the_source(self):
        listed = mutations.read_lists(ROOT)
        self.assertGreaterEqual(len(listed), 40)
        self.assertLessEqual({m["file"].split("/")[0] for m in listed}, {"model"})
        self.assertGreaterEqual(sum(m["list"] == "generated" for m in listed), 20)

    def test_the_record_is_of_these_lists_and_has_no_survivor(self):
        page = (ROOT / "tests" / "mutations" / "README.md").read_text()
        listed = mutations.read_lists(ROOT)
        self.assertIn(f"\n{len(listed)} of {len(listed)} found", page)
        for m in listed:
            self.assertIn(f"| {m['name']} |", page)

    def test_a_list_that_does_not_fit_is_refused(self):
        self.assertEqual(read(SOUND)[0]["replace"], "i <= n")
        cases = ((SOUND, "i < n; i < n", "2 times"), (SOUND, "", "0 times"), (SOUND + SOUND, "i < n", "two mutations"),
                 (SOUND.replace("i <= n", "i < n"), "i < n", "changes nothing"),
                 (SOUND.replace("tests", "test"), "i < n", "missing or unknown"))
        for entries, source, why in cases:
            with self.assertRaisesRegex(mutations.ListError, why):
                read(entries, source)

    def test_a_mutation_that_nothing_finds_is_told(self):
        m = {**read(SOUND)[0]}
        page = "\n".join(mutations.page([(m, None, "")]))
        self.assertIn("0 of 1 found", page)
        self.assertIn("| a | a.cu | `i < n` → `i <= n` | **nothing** | - |", page)
        page = "\n".join(mutations.page([(m, "reverse", "A.b")]))
        self.assertIn("1 of 1 found", page)
        self.assertIn("| A.b | reverse |", page)

    def test_suggestions_are_entries_of_a_list(self):
        text = "".join(mutations.suggest("model/operations/attention/attention_flash_cuda.cu"))
        self.assertIn("_less_or_equal", text)
        self.assertIn("_no_barrier", text)
        self.assertNotIn("\n//", text)


if __name__ == "__main__":
    unittest.main()
