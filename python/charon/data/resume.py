"""Keeps finished frames on disk, so that an interrupted labelling goes on where it stopped."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from charon.errors import DataError


class LabelLog:
    """One line of JSON per finished frame, flushed as it is written.

    The first line says what the job is. A last line cut off by a kill is dropped, its frame is done
    again.

    Args:
        path: of the log; created if absent.
        job: what the results depend on; must be the same when the log is taken up again.

    Raises:
        DataError: the log belongs to another job; names what differs.
    """

    def __init__(self, path: Path, job: dict[str, Any]) -> None:
        self.path = path
        self.results: dict[int, dict[str, Any]] = {}
        lines = _complete_lines(path)
        if lines:
            header, *entries = self._parse(lines)
            self._check(header, job)
            self.results = {entry.pop("frame"): entry for entry in entries}
        path.write_text("".join(f"{line}\n" for line in lines) or json.dumps(job) + "\n")
        self._file = path.open("a")

    def _parse(self, lines: list[str]) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise DataError(f"{self.path} is no log of a labelling ({error}); remove it") from error

    def _check(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        changed = [key for key in expected if found.get(key) != expected[key]]
        if changed:
            differences = "; ".join(f"{key}: was {found.get(key)}, is {expected[key]}" for key in changed)
            raise DataError(
                f"{self.path} was begun with other input or settings ({differences}); "
                "repeat the call it was begun with, or remove the file to start anew"
            )

    def __contains__(self, index: int) -> bool:
        return index in self.results

    def add(self, index: int, result: dict[str, Any]) -> None:
        """Append the result of one frame."""
        self.results[index] = result
        self._file.write(json.dumps({"frame": index, **result}, default=np.ndarray.tolist) + "\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the log: the job is finished."""
        self._file.close()
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _complete_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()
