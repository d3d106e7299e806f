"""One file of all results, to take home while stages still run."""
import os
import tarfile


def write(folder, file):
    """folder as FILE.tar.gz, whole at any moment."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with tarfile.open(partial, "w:gz", compresslevel=6) as archive:
            archive.add(folder, arcname=folder.name, filter=lambda entry: None if entry.name.endswith((".part", "/lock")) else entry)
        os.replace(partial, file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
