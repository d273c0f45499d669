"""Model files from the runs: each is written by `charon export`, which loads it again and compares it."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from charon.run_directory import RunDirectory
from demonstration.processes import Process


@dataclass(frozen=True)
class Export:
    """A model file to write.

    Args:
        run: where its weights come from.
        path: the file.
        dtype: "float32" or "float64"; None leaves the precision of the training.
    """

    run: RunDirectory
    path: Path
    dtype: str | None = None

    @property
    def said(self) -> Path:
        """What `charon export` printed."""
        return self.path.with_suffix(".txt")

    def inputs(self) -> list[str | Path]:
        """All that the file depends on, apart from the installed libraries."""
        import charon.export

        return [self.dtype or "", self.run.checkpoint("best"), Path(charon.export.__file__).parent]

    def start(self) -> Process:
        """Starts the command."""
        precision = ["--dtype", self.dtype] if self.dtype else []
        command = [sys.executable, "-m", "charon.cli", "export", self.run.path, "-o", self.path, *precision]
        return Process(command, self.said)

    def line(self) -> str:
        """Size of the file and what the export has verified."""
        verified = " ".join(self.said.read_text().split())
        return f"{self.path.stat().st_size / 1024:.0f} KiB. {verified}"


def export_together(exports: list[Export]) -> None:
    """Runs all at once. Raises CharonError if one of them fails; the others are stopped then."""
    processes = [export.start() for export in exports]
    try:
        while any([process.running() for process in processes]):
            time.sleep(0.1)
    finally:
        for process in processes:
            process.stop()
