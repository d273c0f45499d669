"""`charon benchmark ko2021`: the charge and non-local sets of Ko et al. 2021 (Materials Cloud 2020.137)."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from charon import __version__
from charon.benchmark.archive import TEST_FRACTION, find_sets
from charon.benchmark.comparison import draw, footnotes, table_of_comparison, write_json
from charon.benchmark.one_set import Options, errors_on_test, train_set
from charon.benchmark.published import SETS, Errors
from charon.data.convert import summary
from charon.evaluate import plain_or_terminal


def run_ko2021(
    data: str | Path,
    output: str | Path,
    *,
    minutes: float = 60.0,
    preset: str | None = "nse",
    seed: int = 0,
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> bool:
    """Trains one model per set and prints its test errors beside those of the peers; False if interrupted.

    A tenth of each set, drawn at random by the seed, is for the test; a part of the rest chooses the weights. The
    same call goes on after an interruption, and trains no set twice. `output` gets ko2021.json, ko2021.png and a
    folder per set, see `train_set`.

    Args:
        data: the folder of the archive (datasets/Carbon_chain/input.data ...); sets that are absent are left out.
        output: where everything is written.
        minutes: of training per set.
        preset: `model.preset`; None leaves it out.
        seed: of split and training.
        overrides: section.key=value, for each of the trainings.
        console: what is printed on.

    Raises:
        DataError: no set is found, or a file cannot be read.
        ConfigError: an override or preset that does not exist, or an output made with other options.
    """
    console, output = console or plain_or_terminal(), Path(output)
    options = Options(minutes, preset, seed, tuple(overrides))
    found, remarks = find_sets(Path(data))
    missing = [known.title for known in SETS if known.name not in found]
    _say(console, [*remarks, *([f"not found, left out: {', '.join(missing)}"] if missing else [])])
    errors: dict[str, Errors] = {}
    for known in (known for known in SETS if known.name in found):
        _say(console, ["", f"{known.title}: multiplicities are the lowest that fit the electrons"])
        _say(console, summary(found[known.name]))
        if not train_set(known, found[known.name], options, output / known.name, console):
            _say(console, [f"interrupted; the same command goes on (output {output})"])
            return False
        errors[known.name] = errors_on_test(output / known.name)
    frames = {name: len(found[name]) for name in errors}
    about = {
        "benchmark": "ko2021",
        "charon": __version__,
        "test_fraction": TEST_FRACTION,
        "frames": frames,
        **vars(options),
    }
    write_json(output / "ko2021.json", errors, about)
    draw(output / "ko2021.png", errors)
    console.print(table_of_comparison(errors))
    _say(console, [*footnotes(frames), f"written: {output / 'ko2021.json'}, {output / 'ko2021.png'}"])
    return True


def _say(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
