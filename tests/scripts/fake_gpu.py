#!/usr/bin/env python3
"""scripts/gpu with stages that do what FAKE_STAGES says, a JSON object {stage: behaviour}; each start of a stage is a line of OUT/starts."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "gpu_stages"))
sys.dont_write_bytecode = True
import command_line
import stage
from runner import Stage


def note(context, what):
    with open(context.setting.out / "starts", "a") as stream:
        stream.write(f"{context.name} {what}\n")


def behave(context):
    behaviour = json.loads(os.environ.get("FAKE_STAGES", "{}")).get(context.name, "ok")
    note(context, behaviour)

    def first_part():
        note(context, "part")
        return {"answer": 42}
    answer = context.part("first", first_part)["answer"]
    context.figure(f"{answer} so far")
    match behaviour:
        case "fail":
            raise stage.Failed("3 of 9 differ")
        case "skip":
            raise stage.Skipped("no such tool here")
        case "raise":
            raise ZeroDivisionError("a bug")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "leave":
            os._exit(7)
        case "hang":  # with a child that left the session
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            subprocess.Popen(["sleep", "321"], start_new_session=True)
            time.sleep(321)
        case "command":
            context.run(["sh", "-c", "echo last words; exit 5"])
    context.data(answer=answer)
    return f"{answer} of 42"


STAGES = [Stage("first", "begins", 30, 1, behave), Stage("second", "needs nothing", 30, 1, behave),
          Stage("third", "needs the first", 30, 1, behave, needs=("first",)), Stage("long", "takes long", 30, 25, behave)]

if __name__ == "__main__":
    sys.exit(command_line.main(STAGES, __file__, __doc__))
