#!/usr/bin/env python3
"""scripts/check on small trees that break one rule each: every rule must be able to fail, and name the line."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check"
KIND = "#pragma once\nextern const OperationKind relu_kind;\n"
SOUND = {
    "model/base/error.h": "#pragma once\n",
    "model/program/program.h": '#pragma once\n#include "model/base/error.h"\n',
    "model/cpu/team.h": "#pragma once\n",
    "model/operations/relu/relu.h": KIND,
    "model/operations/relu/relu.cpp": '#include "model/operations/relu/relu.h"\n',
    "model/operations/relu/relu_body.h": "#pragma once\n",
    "model/operations/relu/relu_cpu.cpp": '#include "model/operations/relu/relu_body.h"\n',
    "model/operations/list.cpp": "const OperationRow rows[] = {{&relu_kind}};\n",
    "model/techniques/list.h": "#pragma once\n",
    "model/techniques/list.cpp": "const Technique rows[] = {sparsity_technique};\n",
    "model/techniques/sparsity.h": "#pragma once\nstruct Technique;\nextern const Technique sparsity_technique;\n",
    "profiles/attribution.h": "#pragma once\n",
}


def check(*rules, files=None):
    """(exit status, lines, errors) of scripts/check on the sound tree with some files' text changed (None: left out)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **(files or {})}.items():
            if text is None:
                continue
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([CHECK, "--root", folder, *rules], capture_output=True, text=True)
        return done.returncode, done.stdout.split("\n")[:-2], done.stderr


class Check(unittest.TestCase):
    def holds(self, rule, name, text):
        self.assertEqual(check(rule, files={name: text})[:2], (0, []))

    def breaks(self, rule, name, text, place, *said):
        status, lines, _ = check(rule, files={name: text})
        self.assertEqual((status, len(lines)), (1, 1), lines)
        self.assertTrue(lines[0].startswith(place + ": "), lines[0])
        for words in said:
            self.assertIn(words, lines[0])

    def test_a_sound_tree_holds(self):
        self.assertEqual(check("layers", "words", "places", "operations", "techniques", "sizes")[:2], (0, []))

    def test_unknown_rule_is_wrong_use(self):
        status, _, errors = check("styles")
        self.assertEqual(status, 2)
        self.assertIn("no rule 'styles'", errors)

    def test_includes_go_down(self):
        self.breaks("layers", "model/base/error.h", '\n#include "model/program/program.h"\n', "model/base/error.h:2", "goes up")
        self.breaks("layers", "model/cuda/x.h", '#include "model/cpu/team.h"\n', "model/cuda/x.h:1", "goes up")
        self.holds("layers", "model/cpu/x.h", '#include "model/cpu/team.h"\n')
        self.holds("layers", "tests/x.cpp", '#include "model/cpu/team.h"\n')

    def test_includes_name_a_file_from_the_root(self):
        self.breaks("layers", "model/cpu/x.h", '#include "team.h"\n', "model/cpu/x.h:1", "from the root")
        self.breaks("layers", "model/cpu/x.h", '#include "model/cpu/../cpu/team.h"\n', "model/cpu/x.h:1", "from the root")

    def test_layers_see_only_what_operations_declare(self):
        self.holds("layers", "model/layers/x.h", '#include "model/operations/relu/relu.h"\n#include "model/base/error.h"\n')
        for path in ("model/operations/relu/relu_body.h", "model/cpu/team.h"):
            self.breaks("layers", "model/layers/x.h", f'#include "{path}"\n', "model/layers/x.h:1", "layers see only")

    def test_reports_see_two_parts_of_profiles(self):
        self.breaks("layers", "reports/x.h", '#include "profiles/attribution.h"\n', "reports/x.h:1", "trace model")

    def test_libraries_stay_in_their_place(self):
        for header, good, bad in [("toml++/toml.h", "harness/matrix.cpp", "harness/cell.cpp"),
                                  ("nlohmann/json.hpp", "reports/record.cpp", "model/program/print.cpp"),
                                  ("oneapi/dnnl/dnnl.hpp", "model/cpu/matmul.cpp", "model/operations/relu/relu_cpu.cpp"),
                                  ("omp.h", "model/cpu/threads.cpp", "model/execution/x.cpp"),
                                  ("cupti.h", "profiles/capture/x.cpp", "profiles/x.cpp"),
                                  ("nvtx3/nvtx3.hpp", "profiles/ranges.cpp", "model/execution/x.cpp"),
                                  ("cublasLt.h", "model/operations/relu/relu_cuda.cu", "model/operations/relu/relu_cpu.cpp"),
                                  ("zlib.h", "profiles/perfetto.cpp", "reports/writers.cpp"),
                                  ("CLI/CLI.hpp", "harness/main.cpp", "reports/x.cpp")]:
            with self.subTest(header):
                self.holds("places", good, f"#include <{header}>\n")
                self.holds("places", "tests/x_test.cpp", f"#include <{header}>\n")
                self.breaks("places", bad, f"#include <{header}>\n", f"{bad}:1", header)

    def test_words(self):
        for name, word in [("model/layers/x.cpp", "Recompute"), ("model/layers/x.h", "micro_step"), ("model/layers/x.h", "bf16"),
                           ("model/operations/relu/relu_body.h", "threadIdx.x"), ("model/operations/relu/relu_body.h", "std::exp(x)"),
                           ("model/execution/x.cpp", "if (recompute)"), ("harness/x.cpp", "TO" "DO: later"),
                           ("README.md", "/ho" "me/someone/x"), ("scripts/x", "see iss" "ue #12")]:
            with self.subTest(word):
                self.breaks("words", name, f"first\n{word}\n", f"{name}:2")
        self.holds("words", "model/techniques/list.h", "#pragma once  // recompute bf16 micro\n")

    def test_operations_are_whole(self):
        for part in ("relu.cpp", "relu_body.h", "relu_cpu.cpp"):
            self.breaks("operations", "model/operations/relu/" + part, None, "model/operations/relu:1", part, "is missing")
        self.breaks("operations", "model/operations/list.cpp", "{&relu_kind_2}", "model/operations/relu/relu.h:2", "no row")
        self.breaks("operations", "model/operations/relu/relu.h", "#pragma once\n", "model/operations/relu/relu.h:1", "declares no")

    def test_techniques_are_listed(self):
        self.breaks("techniques", "model/techniques/list.cpp", "", "model/techniques/sparsity.h:3", "no row")
        self.breaks("techniques", "model/techniques/offload.h", "#pragma once\n", "model/techniques/offload.h:1", "declares no")
        self.holds("techniques", "model/techniques/sparsity_pattern.h", "#pragma once\n")

    def test_types_have_names_of_their_own(self):
        one = "#pragma once\nstruct Answer {\n  int value = 0;\n};\n"
        self.holds("types", "model/cpu/one.h", one)
        status, lines, _ = check("types", files={"model/cpu/one.h": one, "model/cpu/two.h": one})
        self.assertEqual((status, len(lines)), (1, 1), lines)
        self.assertIn("two.h:2: Answer is a type of model/cpu/one.h:2 too", lines[0])

    def test_sizes_are_questions(self):
        long_function = "int f() {\n" + "  f();\n" * 400 + "}\n"
        status, lines, _ = check("sizes", files={"model/cpu/x.cpp": long_function})
        self.assertEqual(status, 0)
        self.assertEqual([line.split(" ")[1] for line in lines], ["model/cpu/x.cpp:1:", "model/cpu/x.cpp:1:"])

    @unittest.skipUnless(shutil.which("g++"), "needs g++")
    def test_headers_compile_alone(self):
        self.breaks("headers", "model/cpu/x.h", "#pragma once\nstd::string s();\n", "model/cpu/x.h:1", "does not compile alone")
        self.breaks("headers", "model/cpu/x.h", "#include <string>\n", "model/cpu/x.h:1", "no #pragma once")
        self.holds("headers", "model/cpu/x.h", "#pragma once\n#include <string>\nstd::string s();\n")
        self.breaks("headers", "model/cpu/x.h", '#pragma once\n#include "model/cpu/y.h"\n', "model/cpu/x.h:1", "does not compile alone")
        library = "a_library/that/is_not_here.h"
        status, lines, _ = check("headers", files={"model/cpu/x.h": f"#pragma once\n#include <{library}>\n"})
        self.assertEqual((status, lines), (0, [f"skipped: model/cpu/x.h alone ({library} is not here)"]))

    @unittest.skipUnless(shutil.which("clang-format-14"), "needs clang-format-14")
    def test_format(self):
        self.breaks("format", "model/cpu/x.h", "int  a;\n\n\n\nint b ;\n", "model/cpu/x.h:1", "clang-format")
        self.holds("format", "model/cpu/x.h", "int a;\n")

    @unittest.skipUnless(shutil.which("shellcheck"), "needs shellcheck")
    def test_shell(self):
        status, lines, _ = check("shell", files={"scripts/x": "#!/bin/sh\necho $1\n"})
        self.assertEqual((status, len(lines)), (1, 1))
        self.assertTrue(lines[0].startswith("scripts/x:2:"), lines)


if __name__ == "__main__":
    unittest.main()
