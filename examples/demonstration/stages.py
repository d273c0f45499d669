"""What stands from an earlier call: each stage leaves a fingerprint of its inputs when it has finished."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

Part = str | Path


def digest(parts: Iterable[Part]) -> str:
    """SHA-256 over texts and the content of files; of a folder, over its Python files."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(part.encode())
            continue
        for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


class Stages:
    """Runs a stage unless its inputs are those of the last time; kept in `<folder>/stages.json`."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.path = folder / "stages.json"
        if fresh:
            self.path.unlink(missing_ok=True)
        self.known: dict[str, str] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def stands(self, name: str, parts: Iterable[Part]) -> bool:
        """Whether the stage has finished on these inputs before."""
        return self.known.get(name) == digest(parts)

    def finished(self, name: str, parts: Iterable[Part]) -> None:
        """Remembers the inputs of a stage that has finished."""
        self.known[name] = digest(parts)
        self.path.write_text(json.dumps(self.known, indent=1) + "\n")

    def run(self, name: str, parts: Iterable[Part], work: Callable[[], None]) -> bool:
        """Calls `work` unless the stage stands; tells whether it was called."""
        inputs = list(parts)
        if self.stands(name, inputs):
            return False
        work()
        self.finished(name, inputs)
        return True
