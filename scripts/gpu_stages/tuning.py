"""Which of cuBLASLt's algorithms is fastest on this card: OUT/tuning.json, which every `step` of later stages takes along."""
import files
from stage import Failed, Skipped, told_by


def tuned(context, *words):
    """Words for `step`, after the matmuls of a configuration were measured; none where the program or the device does not tune."""
    path = context.setting.out / "tuning.json"
    if not can_tune(context):
        return []
    status, _ = context.run([context.program(), "tune", *words, "--device", context.device, "--out", path], may_fail=True)
    return ["--tuning", path] if status == 0 else []


def can_tune(context):
    status, _ = context.run([context.program(), "tune", "--help"], limit_s=20, may_fail=True)
    return status == 0


def run(context):
    if not can_tune(context):
        raise Skipped("this program does not tune: algorithms are the library's first choice")
    path = context.setting.out / "tuning.json"
    command = [context.program(), "tune", context.matrix("tuning.toml"), "--device", context.device, "--out", path]
    status, output = context.run(command, may_fail=True)
    told = (output.strip().splitlines() or [""])[-1]
    if status == 2 and context.rehearsal:
        raise Skipped(f"takes a card: {told}")
    if status != 0:
        raise Failed(f"stepscope tune: {told_by(status, context.left_s())}: {told}")
    files.write_text(context.folder / "tuning.json", path.read_text(encoding="utf-8"))
    return told.split(":")[0]  # "12 matmuls, 12 of them measured now"
