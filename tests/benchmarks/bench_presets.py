"""Short trainings of every preset, with SpookyNet beside them where it is installed: that they run, and a table.

The figures of a few seconds say little and are not kept; `presets/run.py` makes those of `presets.md`. A set that is
shipped stands in for `ag3` where CHARON_BENCH_DATA is not set.
"""

import os
from collections.abc import Iterator

import pytest

from .frames import DATA
from .presets.jobs import INSTALL, VARIABLE, Job, Length
from .presets.plan import MAIN, Model, Peer
from .presets.run import Record, run_job, summary
from .presets.sets import SETS

MINUTES = 0.3


@pytest.fixture(scope="module")
def record() -> Iterator[dict[str, Record]]:
    found: dict[str, Record] = {}
    yield found
    print("\n\n" + "\n".join(f"{name:12s} {summary(run)}" for name, run in found.items()))


@pytest.mark.parametrize("model", MAIN, ids=lambda model: model.name)
def test_preset(model: Model, record: dict[str, Record], tmp_path_factory: pytest.TempPathFactory) -> None:
    if isinstance(model, Peer) and VARIABLE not in os.environ:
        print(f"\n{INSTALL}")
        pytest.skip(f"{VARIABLE} is not set")
    chosen = SETS["ag3" if DATA in os.environ else "clusters"]
    record[model.name] = run_job(Job(chosen, model, Length(MINUTES), 0, tmp_path_factory.mktemp("presets")))
    assert "error" not in record[model.name], record[model.name]["error"]
