"""Runs stages one after the other, each in a process of its own under a limit. Nothing that a stage does ends the run.

A stage that is done is not run again. One that failed, or that its limit ended, is tried again in the next call, after all that never
ran. Killed at any moment, the next call ends what was left running and goes on: what a stage had finished it keeps (context.part).
"""
import dataclasses
import fcntl
import os
import shutil
import signal
import sys
import time
import traceback

import archive
import files
import processes
import results
import summary


FULL_BYTES = 1 << 16  # with less left a disk counts as full


class UsageError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    help: str
    limit_s: float  # after which it is ended
    least_s: float  # with less left it is not begun
    run: object = None  # run(context) -> the figure; called in the stage's own process
    needs: tuple = ()  # names of stages that must be done
    every_call: bool = False  # quick, and what it finds may have changed since


class Interrupted(Exception):
    pass


def _interrupt(_signal, _frame):
    raise Interrupted


class Runner:
    def __init__(self, stages, setting, say=print):
        """setting: out, commit, device, minutes, title, limits {name: seconds}, again (names), inside (command of a stage's process)."""
        self.stages = {stage.name: stage for stage in stages}
        self.setting, self.say = setting, say
        self.mark = str(setting.out.resolve())
        self.deadline = time.monotonic() + 60 * setting.minutes
        self.known = {}

    def folder(self, name):
        return self.setting.out / "stages" / name

    def left_s(self):
        return self.deadline - time.monotonic()

    def order(self, chosen):
        """Stages to run: first those that never ran to their end, in order; then what did not succeed, for another try."""
        def anew(name):
            return name in self.setting.again or self.stages[name].every_call

        def fresh(name):
            return self.known[name].state in ("waiting", "stopped", "skipped") or anew(name)
        wanted = [name for name in chosen if self.known[name].state != "done" or anew(name)]
        return [name for name in wanted if fresh(name)] + [name for name in wanted if not fresh(name)]

    def run(self, chosen):
        """0: each is done or skipped; 1: one is not; 130: interrupted."""
        lock = self.lock()
        processes.end_all(self.mark)
        self.known = {name: results.read(self.folder(name)) for name in self.stages}
        before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            tried = set()
            for name in self.order(chosen):
                self.with_needs(name, tried)
        except Interrupted:
            for name, result in self.known.items():
                if result.state == "running":
                    self.known[name] = results.read(self.folder(name))
            self.say("stopped; the same command goes on")
            return 130
        finally:
            processes.end_all(self.mark)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.show()
            lock.close()
        return int(any(self.known[name].state not in ("done", "skipped") for name in chosen))

    def lock(self):
        try:
            stream = open(self.setting.out / "lock", "w")
        except OSError as error:
            raise UsageError(f"--out {self.setting.out}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"--out {self.setting.out}: another scripts/gpu is at work there") from None
        return stream

    def with_needs(self, name, tried):
        if name in tried:
            return
        tried.add(name)
        stage = self.stages[name]
        for need in stage.needs:
            if self.known[need].state != "done" or self.stages[need].every_call:
                self.with_needs(need, tried)
        missing = [need for need in stage.needs if self.known[need].state != "done"]
        if missing:
            self.end(name, "skipped", 0.0, reason=f"needs {missing[0]}, which is {self.known[missing[0]].state}")
        elif self.left_s() < stage.least_s:
            if self.known[name].state == "waiting":
                self.end(name, "skipped", 0.0, reason=f"{max(0, self.left_s()):.0f} s were left, it takes {stage.least_s:.0f} s")
        else:
            self.one(stage)

    def one(self, stage):
        limit = min(self.setting.limits.get(stage.name, stage.limit_s), self.left_s())
        self.known[stage.name] = results.Result(stage.name, "running", reason=stage.help)
        self.show()
        self.say(f"-- {stage.name}: {stage.help} (at most {limit:.0f} s)")
        begin = time.monotonic()
        try:
            state, reason = self.in_process(stage, limit)
        except OSError as error:  # no folder, no file, no process: a full disk, say
            state, reason = "failed", f"cannot be begun: {error.strerror}"
        told = results.told(self.folder(stage.name))
        if state == "ended":  # by itself: it has said how
            state, reason = told.get("state", "failed"), told.get("reason", "")
        self.end(stage.name, state, time.monotonic() - begin, told.get("figure", ""), reason, told.get("data", {}))

    def in_process(self, stage, limit):
        """(state, reason): ("ended", "") where the stage itself says how it went."""
        folder = self.folder(stage.name)
        folder.mkdir(parents=True, exist_ok=True)
        for stale in ("result.json", "told.json"):
            (folder / stale).unlink(missing_ok=True)
        until = time.monotonic() + limit
        with open(folder / "log.txt", "a") as log:
            command = [*self.setting.inside, stage.name, str(limit)]
            process = processes.start(command, self.mark, log)
            try:
                while process.poll() is None and time.monotonic() < until:
                    time.sleep(0.05)
                status = process.poll()
            finally:
                processes.end_all(self.mark)
                process.kill()
                process.wait()
        if status is None:
            return "out-of-time", f"ended after {limit:.0f} s"
        if "state" in results.told(folder):
            return "ended", ""
        if shutil.disk_usage(self.setting.out).free < FULL_BYTES:
            return "failed", "no space is left on the disk"
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return "failed", f"its process ended with {how} and said nothing; log.txt has its last words"

    def end(self, name, state, seconds, figure="", reason="", data=None):
        result = results.Result(name, state, round(seconds, 1), figure, reason, self.setting.commit, self.setting.device,
                                data=data or {})
        self.known[name] = result
        try:
            self.folder(name).mkdir(parents=True, exist_ok=True)
            result.write(self.folder(name))
            (self.folder(name) / "told.json").unlink(missing_ok=True)
        except OSError as error:
            self.say(f"   its result could not be written: {error.strerror}")
        self.say("   " + summary.row(result, ""))
        self.show()
        if self.setting.archive:
            self.keep_archive()

    def keep_archive(self):
        try:
            archive.write(self.setting.out, self.setting.archive)
        except OSError as error:
            self.say(f"   {self.setting.archive} could not be written: {error.strerror}")

    def summary(self):
        return summary.text(self.setting.title, list(self.known.values()), self.setting.commit, self.left_s())

    def show(self):
        try:
            files.write_text(self.setting.out / "summary.txt", self.summary())
        except OSError as error:
            self.say(f"   summary.txt could not be written: {error.strerror}")


def stage_process(stage, context):
    """What runs inside a stage's own process: the stage, and how it ended into told.json. Never raises."""
    from stage import Failed, Skipped
    try:
        context.figure(stage.run(context))
        state, reason = "done", ""
    except Skipped as why:
        state, reason = "skipped", str(why)
    except Failed as why:
        state, reason = "failed", str(why)
    except Exception as error:
        traceback.print_exc()
        state, reason = "failed", f"{error.__class__.__name__}: {error}"
    sys.stdout.flush()
    context.end(state, reason)
    os._exit(0)
