"""What a training shows: a live table with a bar on a terminal, plain lines elsewhere, and log.txt always."""

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

ROWS_SHOWN = 12
SECONDS_BETWEEN_LINES = 15.0


def clock(minutes: float) -> str:
    """`1:02:03`, `2:03` or `0:03`."""
    seconds = int(round(max(0.0, minutes) * 60))
    hours, rest = divmod(seconds, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text.removeprefix("0") if rest >= 60 else f"0:{rest:02d}"


class Display:
    """Shows progress; a context manager. Columns are (heading, unit, key of the row)."""

    def __init__(self, columns: list[tuple[str, str, str]], log: Path, console: Console | None = None) -> None:
        self.columns, self.log = columns, log
        self.console = console or Console()
        self.rows: deque[dict[str, Any]] = deque(maxlen=ROWS_SHOWN)
        self.live: Live | None = None
        self.last_line = -1e9
        self.bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("training", total=1, text="")

    def __enter__(self) -> "Display":
        self.write_log(self._heading())
        if self.console.is_terminal:
            self.live = Live(self._view(), console=self.console, refresh_per_second=4)
            self.live.start()
        else:
            self.console.print(self._heading(), soft_wrap=True, highlight=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.update(self._view())
            self.live.stop()

    def step(self, step: int, planned: int, minutes: float, minutes_left: float, loss: float) -> None:
        """Moves the bar."""
        if self.live is not None:
            rate = step / max(minutes * 60, 1e-9)
            text = f"loss {loss:.4g}  {rate:.1f} steps/s  {clock(minutes)} gone, {clock(minutes_left)} left"
            self.bar.update(self.task, completed=step, total=planned, text=text)

    def validated(self, row: dict[str, Any], minutes_left: float, last: bool) -> None:
        """Adds a row."""
        self.rows.append(row)
        line = f"{self._line(row)}  {clock(row['minutes'])} gone, {clock(minutes_left)} left"
        self.write_log(line)
        if self.live is not None:
            self.live.update(self._view())
        elif last or time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.console.print(line, soft_wrap=True, highlight=False)
            self.last_line = time.monotonic()

    def message(self, text: str) -> None:
        """A line for the user and for the log."""
        self.write_log(text)
        self.console.print(text, soft_wrap=True, highlight=False)

    def write_log(self, text: str) -> None:
        """Appends to log.txt."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def _heading(self) -> str:
        return "  ".join(f"{f'{name} {unit}'.strip():>{_width(name, unit)}}" for name, unit, _ in self.columns)

    def _line(self, row: dict[str, Any]) -> str:
        return "  ".join(f"{_number(row.get(key)):>{_width(name, unit)}}" for name, unit, key in self.columns)

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name, unit, _ in self.columns:
            table.add_column(f"{name}\n[dim]{unit}[/dim]", justify="right")
        for row in self.rows:
            table.add_row(*(_number(row.get(key)) for _, _, key in self.columns), style="bold" if row["best"] else "")
        return Group(table, self.bar)


def _width(name: str, unit: str) -> int:
    return max(8, len(f"{name} {unit}".strip()))


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
