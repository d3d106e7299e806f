"""What tests with other people's tools share: the program under test, and the reasons for which such a test is skipped."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("STEPSCOPE_PROGRAM", ROOT / "build/test/stepscope"))

# What runs measure is kept in the user's cache; a test's does not belong there.
os.environ.setdefault("XDG_CACHE_HOME", str(PROGRAM.parent / "test_cache"))


def stepscope(*arguments, **options):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"stepscope {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr}")
    return done.stdout


def skip_unless_full():
    if not os.environ.get("STEPSCOPE_FULL"):
        raise unittest.SkipTest("scripts/test --full runs it")
    if not PROGRAM.is_file():
        raise unittest.SkipTest(f"{PROGRAM} is not built")
