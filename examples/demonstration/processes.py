"""Programs that the demonstration starts: their output goes to a file, a failure shows its end."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from charon.errors import CharonError

LINES_SHOWN = 25


def one_thread() -> dict[str, str]:
    """The environment with one thread per process: the demonstration keeps each core busy by a process."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Process:
    """A running program whose output is written to a file.

    Args:
        command: program and arguments; their text is taken.
        output: file of its standard output and errors.
        folder: where it runs.
    """

    def __init__(self, command: Sequence[object], output: Path, folder: Path | None = None) -> None:
        self.command, self.output = [str(part) for part in command], output
        with output.open("w") as file:
            self.child = subprocess.Popen(
                self.command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=one_thread()
            )

    def running(self) -> bool:
        """False once it has ended well. Raises CharonError, with the end of its output, if it failed."""
        status = self.child.poll()
        if status is None or status == 0:
            return status is None
        lines = self.output.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
        raise CharonError(
            f"{' '.join(self.command)}\nended with status {status}; the last lines of {self.output}:\n"
            + "\n".join(f"  {line}" for line in lines)
        )

    def stop(self) -> None:
        """Ends the program if it still runs, and waits for it."""
        if self.child.poll() is None:
            self.child.terminate()
        self.child.wait()
