#!/usr/bin/env python3
"""scripts/gpu runs its stages whatever one of them does, goes on where it was killed, and leaves nothing half-written."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts" / "gpu_stages"))
import pack
import processes
import results
import setting
import summary

NAMES = ("first", "second", "third", "long")


class Stages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = pathlib.Path(self.folder.name) / "out"

    def tearDown(self):
        self.assertEqual(processes.marked(str(self.out.resolve())), [], "processes were left")
        self.folder.cleanup()

    def command(self, *words, **stages):
        return ([sys.executable, str(HERE / "fake_gpu.py"), "--out", str(self.out), "--rehearse", *words],
                {**os.environ, "FAKE_STAGES": json.dumps(stages)})

    def call(self, *words, **stages):
        command, environment = self.command(*words, **stages)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def begin(self, *words, **stages):
        command, environment = self.command(*words, **stages)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self, name):
        return results.read(self.out / "stages" / name)

    def states(self):
        return {name: self.result(name).state for name in NAMES}

    def starts(self):
        path = self.out / "starts"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def wait_until(self, holds, what):
        until = time.monotonic() + 20
        while not holds() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertTrue(holds(), what)

    def stage_processes(self):
        commands = [pathlib.Path(f"/proc/{process}/cmdline") for process in processes.marked(str(self.out.resolve()))]
        return [command for command in commands if command.exists() and b"--inside" in command.read_bytes()]

    def wait_for(self, line):
        self.wait_until(lambda: line in self.starts(), line)

    def test_each_is_run_once_and_told_on_a_screen(self):
        archive = pathlib.Path(self.folder.name) / "home.tar.gz"
        done = self.call("--archive", str(archive))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(set(self.states().values()), {"done"})
        told = json.loads((self.out / "stages" / "third" / "result.json").read_text())
        self.assertEqual((told["schema"], told["figure"], told["data"]), (results.SCHEMA, "simulated: 42 of 42", {"answer": 42}))
        with tarfile.open(archive) as tar:
            self.assertIn("out/stages/long/result.json", tar.getnames())
        screen = (self.out / "summary.txt").read_text()
        self.assertIn("REHEARSAL", screen)
        self.assertIn("4 done", screen)
        self.assertEqual(list(self.out.rglob("*.part")) + list(self.out.rglob("told.json")), [])
        before = self.starts()
        self.assertEqual(self.call().returncode, 0)
        self.assertEqual(self.starts(), before)
        self.assertEqual(self.call("--only", "second", "--again", "second").returncode, 0)
        self.assertEqual(self.starts(), [*before, "second ok"])

    def test_what_one_does_to_itself_ends_it_alone(self):
        for behaviour, reason in (("fail", "3 of 9 differ"), ("raise", "ZeroDivisionError: a bug"), ("crash", "SIGSEGV"),
                                  ("leave", "status 7"), ("command", "sh: last words (exit status 5)")):
            with self.subTest(behaviour):
                done = self.call("--only", "first,second", "--again", "first,second", first=behaviour)
                self.assertEqual((done.returncode, self.result("first").state, self.result("second").state), (1, "failed", "done"))
                self.assertIn(reason, self.result("first").reason)
                self.assertEqual(self.result("first").figure, "simulated: 42 so far")
        self.assertEqual(self.call("--only", "third", first="fail").returncode, 0)
        self.assertEqual((self.result("third").state, self.result("third").reason), ("skipped", "needs first, which is failed"))
        self.assertEqual(self.call("--only", "second", "--again", "second", second="skip").returncode, 0)
        self.assertEqual((self.result("second").state, self.result("second").reason), ("skipped", "no such tool here"))

    def test_a_limit_ends_a_stage_with_all_that_it_started(self):
        done = self.call("--only", "first,second", "--limit", "first=1", first="hang")
        self.assertEqual(done.returncode, 1)
        first = self.result("first")
        self.assertEqual((first.state, first.reason, first.figure), ("out-of-time", "ended after 1 s", "simulated: 42 so far"))
        self.assertEqual(self.result("second").state, "done")
        self.assertEqual(self.call("--only", "first,long").returncode, 0)
        self.assertEqual(self.starts().count("first part"), 1, "what it had finished is kept")
        self.assertEqual(self.starts()[-2:], ["long part", "first ok"], "failures come after what never ran")

    def test_killed_in_any_stage_it_goes_on_there(self):
        for number, name in enumerate(NAMES):
            with self.subTest(name):
                process = self.begin(**{name: "hang"})
                self.wait_for(f"{name} hang")
                self.wait_until((self.out / "stages" / name / "parts" / "first.json").exists, name)
                process.kill()
                process.communicate()
                self.wait_until(lambda: not self.stage_processes(), "a stage's process outlives who started it")
                self.assertEqual(list(self.states().values()), ["done"] * number + ["stopped"] + ["waiting"] * (3 - number))
        self.assertEqual(self.call().returncode, 0)
        self.assertEqual(set(self.states().values()), {"done"})
        self.assertEqual([self.starts().count(f"{name} part") for name in NAMES], [1] * 4)

    def test_stopped_by_a_signal_it_says_so_and_refuses_company(self):
        process = self.begin(second="hang")
        self.wait_for("second part")
        other = self.call()
        self.assertEqual((other.returncode, "another scripts/gpu is at work there" in other.stderr), (2, True))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        self.assertEqual((process.returncode, "stopped; the same command goes on" in output), (130, True))
        self.assertEqual(self.states(), {"first": "done", "second": "stopped", "third": "waiting", "long": "waiting"})

    def test_without_time_a_stage_is_skipped_and_comes_again(self):
        done = self.call("--minutes", "0.3")
        self.assertEqual((done.returncode, self.result("long").state), (0, "skipped"))
        self.assertRegex(self.result("long").reason, r"^1\d s were left, it takes 25 s$")
        self.call("--minutes", "1")
        self.assertEqual(self.result("long").state, "done")

    def test_broken_results_count_as_none(self):
        self.assertEqual(self.call("--only", "first,second").returncode, 0)
        for text in ('{"schema": "stepsc', "[1]", '{"schema": "other/1"}',
                     f'{{"schema": "{results.SCHEMA}", "stage": "first", "state": "good", "seconds": 1}}'):
            (self.out / "stages" / "first" / "result.json").write_text(text)
            self.assertEqual(self.result("first").state, "stopped")
            self.assertIn("result.json", self.result("first").reason)
        (self.out / "stages" / "first" / "parts" / "first.json").write_text("{")
        self.assertEqual(self.call("--only", "first").returncode, 0)
        self.assertEqual((self.result("first").state, self.starts().count("first part")), ("done", 2))

    def test_a_stage_whose_folder_cannot_be_made_fails_alone(self):
        (self.out / "stages").mkdir(parents=True)
        (self.out / "stages" / "first").write_text("a file where its folder should be")
        done = self.call("--only", "first,second")
        self.assertEqual((done.returncode, self.result("second").state), (1, "done"))
        self.assertIn("cannot be begun: File exists", done.stdout)

    def test_wrong_words_are_one_line(self):
        pathlib.Path(self.folder.name, "file").write_text("")
        inside = str(pathlib.Path(self.folder.name, "file", "out"))
        cases = ((["--only", "fourth"], "no such stage; there are first, second, third, long"), (["--minutes", "0"], "minutes above 0"),
                 (["--from", "first,second"], "one stage is needed"), (["--limit", "first=x"], "NAME=SECONDS"),
                 (["--only", "first", "--from", "first"], "exclude each other"), (["--out", inside], "cannot be written: Not a directory"),
                 (["--unpacked", inside], "no pack"), (["--build", inside], "no program stepscope is there"), (["--colour"], "--colour"))
        for words, why in cases:
            with self.subTest(words):
                done = self.call(*words)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(why, done.stderr.splitlines()[-1])
        command, environment = self.command()
        command.remove("--rehearse")
        done = subprocess.run([*command, "--device", "cpu"], env=environment, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (2, "scripts/gpu: --device cpu: cuda or cuda:N is needed; --rehearse takes others\n"))

    def test_a_pack_takes_the_place_of_a_pack_alone(self):
        self.out.mkdir()
        (self.out / "mine.txt").write_text("")
        done = self.call("--pack", str(self.out))
        self.assertEqual((done.returncode, done.stderr), (2, f"scripts/gpu: --pack {self.out}: is there and is no pack; another name is needed\n"))
        self.assertEqual([path.name for path in self.out.iterdir()], ["mine.txt"])

    def test_results_of_another_device_are_not_gone_on_with(self):
        self.assertEqual(self.call("--only", "first", "--device", "cpu").returncode, 0)
        done = self.call("--device", "simulated:l4")
        self.assertEqual(done.returncode, 2)
        self.assertIn("holds results of --device cpu, this is simulated:l4", done.stderr)


class Libraries(unittest.TestCase):
    def test_what_the_loader_does_not_know_is_looked_for_in_a_toolkit(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"CUDA_HOME": folder}):
            for name in ("lib64/libcublasLt.so.13", "lib64/libcudnn.so.9", "extras/CUPTI/lib64/libcupti.so.13"):
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
            for known, folders in ((set(), ["lib64", "extras/CUPTI/lib64"]), ({"libcublasLt.so.13", "libcudnn.so.9"}, ["extras/CUPTI/lib64"]),
                                   (set(setting.LIBRARIES), [])):
                with mock.patch.object(setting, "known_to_loader", lambda: known):
                    self.assertEqual(setting.library_folders(), [f"{folder}/{inside}" for inside in folders])


class Pack(unittest.TestCase):
    def test_all_libraries_but_glibcs_are_carried(self):
        told = ("\tlinux-vdso.so.1 (0x1)\n\tlibfmt.so.9 => /lib/x/libfmt.so.9 (0x2)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x3)\n"
                "\tlibm.so.6 => /lib/x/libm.so.6 (0x4)\n\tlibcrypto.so.3 => /lib/x/libcrypto.so.3 (0x5)\n\t/lib64/ld-linux-x86-64.so.2 (0x6)\n")
        with mock.patch.object(pack.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, told)):
            self.assertEqual(pack.libraries_of(["program"]), ["/lib/x/libcrypto.so.3", "/lib/x/libfmt.so.9"])
        with mock.patch.object(pack.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, "\tlibdnnl.so.3 => not found\n")):
            with self.assertRaisesRegex(pack.UsageError, "libdnnl.so.3 is not found here"):
                pack.libraries_of(["program"])


class Summary(unittest.TestCase):
    def test_fits_a_screen_however_much_there_is_to_tell(self):
        many = [results.Result(f"stage-{number}-with-a-long-name", state, 1234.5, "figure " * 30, "reason " * 30)
                for number in range(10) for state in (*results.ENDED, "waiting")]
        lines = summary.text("title " * 40, many, "abc", 1234).splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn("... and 31 more", lines[-2])

    def test_a_figure_of_another_commit_says_which(self):
        row = summary.row(results.Result("seed", "done", 3, "7 ok", commit="0123456789"), "abcdef")
        self.assertIn("[0123456] 7 ok", row)


if __name__ == "__main__":
    unittest.main()
