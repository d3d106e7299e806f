#!/usr/bin/env python3
"""scripts/kernel_table on what ptxas says: a row for each kernel, an error for one too many or few, NVIDIA's occupancy."""
import importlib.machinery
import importlib.util
import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "kernel_table"
OCCUPANCY = r"""
#include <cuda_occupancy.h>
#include <cstdio>
int main() {
  int major, registers, shared, threads;
  while (std::scanf("%d %d %d %d", &major, &registers, &shared, &threads) == 4) {
    cudaOccDeviceProp p;
    p.computeMajor = major, p.computeMinor = 0;
    p.maxThreadsPerBlock = 1024, p.maxThreadsPerMultiprocessor = 2048;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536, p.warpSize = 32;
    p.sharedMemPerBlock = 48 << 10, p.numSms = 1, p.reservedSharedMemPerBlock = 1024;
    p.sharedMemPerMultiprocessor = (major == 8 ? 164 : 228) << 10;
    p.sharedMemPerBlockOptin = p.sharedMemPerMultiprocessor - 1024;
    cudaOccFuncAttributes f;
    f.maxThreadsPerBlock = 1024, f.numRegs = registers, f.sharedSizeBytes = 0, f.numBlockBarriers = 1;
    f.partitionedGCConfig = PARTITIONED_GC_OFF, f.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    f.maxDynamicSharedSizeBytes = p.sharedMemPerBlockOptin;
    cudaOccDeviceState state;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &p, &f, &state, threads, shared) != CUDA_OCC_SUCCESS) return 1;
    std::printf("%d\n", result.activeBlocksPerMultiprocessor);
  }
}
"""


def load():
    loader = importlib.machinery.SourceFileLoader("kernel_table", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernel_table", loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
table = load()


def told(kernel, types="", architecture="sm_90", stack=0):
    """What ptxas says of a kernel; types: mangled, in I...E."""
    name = f"_ZN9stepscope{len(kernel)}{kernel}{types}Ev" + ("v" if types else "")
    return (f"ptxas info    : Compiling entry function '{name}' for '{architecture}'\n"
            f"ptxas info    : Function properties for {name}\n"
            f"    {stack} bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
            f"ptxas info    : Used 40 registers, used 1 barriers, 128 bytes smem\n")


def all_kernels(**changed):
    return "".join(told(kernel, **changed) for kernel in table.KERNELS)


class KernelTable(unittest.TestCase):
    def test_each_kernel_has_a_row_with_its_bytes_and_their_time(self):
        for text in (all_kernels(), all_kernels(types="INS_4bf16EE") + told("add_kernel", "IfE")):
            page = "\n".join(table.page(table.read_ptxas(text), table.CARDS, "COMMAND"))
            self.assertIn("    COMMAND\n\n", page)
            self.assertIn("roofline, not measured", page)
            self.assertEqual(page.count("\n| "), len(table.KERNELS) + 2)
            self.assertIn("| add | 256 | 40 | 128 | 6 | 75 % | 3 N H t | 50.33 | 15.0 µs |", page)
        self.assertIn("| fp32: 40 |", page)

    def test_two_architectures_are_two_tables(self):
        page = list(table.page(table.read_ptxas(all_kernels() + all_kernels(architecture="sm_80")), table.CARDS, ""))
        self.assertEqual([line for line in page if line.startswith("## ")], ["## sm_80", "## sm_90"])

    def test_a_kernel_without_a_row_and_a_row_without_a_kernel_are_errors(self):
        without = "".join(told(kernel) for kernel in table.KERNELS if kernel != "gelu_kernel")
        for text, named in ((all_kernels() + told("new_kernel"), "new_kernel"), (without, "gelu_kernel"),
                            (all_kernels() + told("add_kernel", architecture="sm_75"), "sm_75"),
                            (all_kernels(stack=8), "local memory"), ("", "ptxas")):
            with self.assertRaisesRegex(table.TableError, named):
                table.read_ptxas(text)
        with tempfile.NamedTemporaryFile("w", suffix=".ptxas") as file:
            file.write(without)
            file.flush()
            done = subprocess.run([SCRIPT, file.name], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "^scripts/kernel_table: gelu_kernel: a row in KERNELS, but no kernel\n$")

    def test_bytes_are_products_and_sums(self):
        self.assertEqual(table.bytes_of("2 N H t + 8 CHUNKS H", 2), 2 * 8192 * 1024 * 2 + 8 * 128 * 1024)
        self.assertEqual(table.bytes_of("(4 + t) P", 4), 8 * table.P)
        for formula, _, _ in table.KERNELS.values():
            self.assertGreaterEqual(table.bytes_of(formula, 2), 0)

    def test_occupancy_is_that_of_cuda_occupancy_h(self):
        folders = [pathlib.Path(f, "include") for f in ("/usr/local/cuda", "/opt/cuda")]
        header = next((f for f in folders if (f / "cuda_occupancy.h").exists()), None)
        if header is None or not shutil.which("g++"):
            self.skipTest("cuda_occupancy.h is not here")
        cases = list(itertools.product((8, 9), (1, 16, 32, 40, 56, 64, 111, 128, 255), (0, 128, 1000, 16384, 33000, 100000),
                                       (1, 32, 96, 128, 256)))
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "occupancy")
            command = ["g++", "-w", "-x", "c++", "-", f"-I{header}", "-o", program]
            subprocess.run(command, input=OCCUPANCY, text=True, check=True)
            text = "\n".join(" ".join(map(str, case)) for case in cases)
            done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
        expected = [int(line) for line in done.stdout.split()]
        self.assertEqual(len(expected), len(cases))
        for case, blocks in zip(cases, expected):
            self.assertEqual(table.occupancy(f"sm_{case[0]}0", *case[1:]), blocks, case)


if __name__ == "__main__":
    unittest.main()
