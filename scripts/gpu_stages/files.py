"""Files that are whole or not there: written beside their place and put there in one move."""
import json
import os


def write_text(path, text):
    """OSError where it cannot be written; then nothing is left, and what was there before still is."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path, schema):
    """(value, why not): a file that is broken or of another schema is as good as none, and says why."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, f"{path.name} is broken ({error.__class__.__name__})"
    if not isinstance(value, dict) or value.get("schema") != schema:
        return None, f"{path.name} is not {schema}"
    return value, ""


def what_hinders_writing(folder):
    """Why no file can be made in a folder, which is made too; "" if nothing does."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return error.strerror
    return ""
