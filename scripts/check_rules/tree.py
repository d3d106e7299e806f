"""The source tree as the rules see it: text files, their lines, their includes."""
import os
import re

SKIPPED_FOLDERS = {".git", ".cache", ".venv", "__pycache__", "runs", "text", "node_modules"}  # and build*
CODE = (".h", ".cpp", ".cu", ".cuh")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


class Tree:
    def __init__(self, root):
        self.root = root.resolve()
        self.files = sorted(self._walk())
        self.code = [name for name in self.files if name.endswith(CODE)]
        self._lines = {}

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("build")]
            for name in names:
                if name != ".git":  # a file where the tree is a worktree
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def exists(self, name):
        return (self.root / name).is_file()

    def lines(self, name):
        """[] for a file that is not text."""
        if name not in self._lines:
            try:
                self._lines[name] = (self.root / name).read_text(encoding="utf-8").split("\n")
            except (UnicodeDecodeError, FileNotFoundError):
                self._lines[name] = []
        return self._lines[name]

    def includes(self, name):
        """(line number, path, whether in quotation marks)."""
        for number, line in enumerate(self.lines(name), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1] or match[2], match[1] is not None

    def closure(self, name):
        """The file and every file of the tree that it includes, directly or not."""
        seen, waiting = set(), [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            waiting += [path for _, path, quoted in self.includes(current) if quoted and self.exists(path)]
        return sorted(seen)

    def libraries(self, name):
        """What the file includes, directly or not, in angle brackets."""
        return {path for part in self.closure(name) for _, path, quoted in self.includes(part) if not quoted}
