"""What is known of a stage: OUT/stages/NAME/result.json, written once it has ended, by the runner alone.

States: done, failed, out-of-time (its limit), skipped (with its reason); and of one without a result: stopped (begun, never ended) or
waiting. `figure` is the one number that counts, `reason` why it is not done, `data` what else the stage told.
"""
import dataclasses
import datetime

import files

SCHEMA = "stepscope.gpu-stage/1"
TOLD_SCHEMA = "stepscope.gpu-told/1"
ENDED = ("done", "failed", "out-of-time", "skipped")


@dataclasses.dataclass
class Result:
    stage: str
    state: str
    seconds: float = 0.0
    figure: str = ""
    reason: str = ""
    commit: str = ""  # of the program that it ran
    device: str = ""
    ended: str = ""  # UTC
    data: dict = dataclasses.field(default_factory=dict)

    def write(self, folder):
        self.ended = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        files.write_json(folder / "result.json", {"schema": SCHEMA, **dataclasses.asdict(self)})


def read(folder):
    """What a stage's folder tells; a broken result counts as none and is told."""
    found, why = files.read_json(folder / "result.json", SCHEMA)
    known = {field.name for field in dataclasses.fields(Result)}
    if found is not None:
        found = {key: value for key, value in found.items() if key in known}
        if found.get("state") in ENDED and found.get("stage") == folder.name and isinstance(found.get("seconds"), (int, float)):
            return Result(**found)
        why = "result.json lacks a stage, a state or its seconds"
    begun = folder.exists()
    return Result(folder.name, "stopped" if begun else "waiting", figure=told(folder).get("figure", ""), reason=why)


def told(folder):
    """What the stage's own process has said so far: {} or figure, data, and at its end state and reason."""
    value, _ = files.read_json(folder / "told.json", TOLD_SCHEMA)
    return value or {}


def tell(folder, **said):
    files.write_json(folder / "told.json", {"schema": TOLD_SCHEMA, **said})
