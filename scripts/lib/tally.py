"""The outcomes of all kinds of tests in one file, a line each: passed|failed|skipped <tab> name <tab> reason.

    tally.py FILE gtest PREFIX RESULTS.xml     # adds what a GoogleTest binary wrote
    tally.py FILE python FOLDER                # runs the *_test.py under FOLDER and adds what they did
    tally.py FILE add OUTCOME NAME [REASON]    # adds one
    tally.py FILE close                        # what failed, what was skipped and why, and the closing line
"""
import collections
import pathlib
import sys
import unittest
import xml.etree.ElementTree


def gtest(prefix, results):
    """A file that is not whole is the mark of a crash, which the caller counts."""
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        if case.get("status") != "run":
            continue
        failure, skipped = case.find("failure"), case.find("skipped")
        outcome = "failed" if failure is not None else "skipped" if skipped is not None else "passed"
        told = failure if failure is not None else skipped
        lines = told.get("message", "").strip().split("\n") if told is not None else [""]
        yield outcome, f"{prefix}{case.get('classname')}.{case.get('name')}", lines[-1] if outcome == "skipped" else ""


class Outcomes(unittest.TextTestResult):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.rows = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.rows.append(("passed", test.id(), ""))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.rows.append(("skipped", test.id(), reason))

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.rows.append(("failed", test.id(), ""))

    def addError(self, test, error):
        super().addError(test, error)
        self.rows.append(("failed", test.id(), ""))


def python(folder):
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for path in sorted(pathlib.Path(folder).rglob("*_test.py")):
        sys.path.insert(0, str(path.parent))
        suite.addTests(loader.loadTestsFromName(path.stem))
    return unittest.TextTestRunner(resultclass=Outcomes, verbosity=0).run(suite).rows


def close(file):
    rows = [line.split("\t") for line in pathlib.Path(file).read_text().splitlines()]
    reasons = collections.defaultdict(list)
    for outcome, name, reason in rows:
        if outcome == "skipped":
            reasons[reason].append(name)
    for reason, names in reasons.items():
        print(f"skipped: {names[0] if len(names) == 1 else f'{len(names)} tests, {names[0]} and others'}: {reason}")
    for outcome, name, reason in rows:
        if outcome == "failed":
            print(f"FAILED: {name}" + (f": {reason}" if reason else ""))
    counts = collections.Counter(outcome for outcome, _, _ in rows)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")))
    return 1 if counts["failed"] or not counts["passed"] else 0


def main(file, command, *rest):
    if command == "close":
        return close(file)
    rows = {"gtest": gtest, "python": python, "add": lambda *row: [(*row, "")[:3]]}[command](*rest)
    rows = list(rows)
    with open(file, "a", encoding="utf-8") as tally:
        for row in rows:
            tally.write("\t".join(" ".join(field.split()) for field in row) + "\n")
    return 1 if any(row[0] == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(*sys.argv[1:]))
