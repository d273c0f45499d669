"""Errors of the models in `tests/benchmarks/models/` on their sets, which the project does not ship.

`accuracy/sets.yaml` is the table of sets, `accuracy.md` says where the sets come from and how the models were trained.
`results/accuracy.json` is written unless `-k` selects some of the rows or one fails; rows without a model are left out.

    CHARON_BENCH_DATA=folder python -m pytest tests/benchmarks/bench_accuracy.py -o python_files='bench_*.py' -s -q
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .accuracy.errors import errors_of
from .accuracy.report import RESULTS, Record
from .accuracy.sets import Row, table
from .frames import DATA

ROWS = table()
HOW = (
    f"\n{DATA} is not set: nothing is evaluated or written. Set it to a folder with the test sets\n"
    + "\n".join(f"  {name}" for name in sorted({row.file for row in ROWS}))
    + "\nof which tests/benchmarks/accuracy.md says the sources."
)


@pytest.fixture(scope="module")
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    found = Record()
    yield found
    if not found.found:
        return
    print("\n\n" + found.table())
    selected = request.config.getoption("keyword") or any("::" in word for word in request.config.args)
    if not selected and not request.session.testsfailed:
        found.write()
        print(f"\nwritten: {RESULTS.relative_to(Path(__file__).parents[2])}")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get(DATA)
    if not folder:
        print(HOW)
        pytest.skip(f"{DATA} is not set")
    return Path(folder)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.set}, {row.preset}")
def test_errors(row: Row, data: Path, record: Record) -> None:
    for path in (row.model_path, data / row.file):
        if not path.is_file():
            print(f"\n{row.set}: {path.name} is absent, left out")
            pytest.skip(f"{path.name} is absent")
    print(f"\n{row.command()}")
    record.add(row.set, row.preset, errors_of(row, data))
