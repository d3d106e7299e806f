"""What the parity tables share: running `stepscope step`, errors, rows of a table."""
import pathlib
import subprocess
import tempfile

import numpy as np

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build" / "release" / "stepscope"


def step(*arguments):
    done = subprocess.run([PROGRAM, "step", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"stepscope step {' '.join(map(str, arguments))}\n{done.stderr.strip()}")


def new_folder(inside):
    return pathlib.Path(tempfile.mkdtemp(dir=inside))


def relative(got, expected):
    return abs(float(got) - float(expected)) / abs(float(expected))


def largest_error(got, expected):
    """(error, name) of the worst tensor. The same names are demanded of both."""
    if got.keys() != expected.keys():
        raise SystemExit(f"names differ: {sorted(got.keys() ^ expected.keys())}")
    largest = max(np.linalg.norm(value) for value in expected.values())
    errors = {name: float(np.linalg.norm(got[name].astype(np.float64) - value) / max(np.linalg.norm(value), 1e-6 * largest))
              for name, value in expected.items()}
    worst = max(errors, key=errors.get)
    return errors[worst], worst


def largest_text(error_and_name):
    return f"{error_and_name[0]:.1e} ({error_and_name[1]})"


def table(title, about, columns, rows):
    """rows: (cells, whether they are within their limits). Lines of Markdown, and whether all are."""
    lines = [f"## {title}", about, ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *(cells for cells, _ in rows))]
    return lines + [""], all(good for _, good in rows)
