"""The demonstration: two models are trained, exported and used; it ends with a table and a report.

    python examples/demo.py            what stands from an earlier call is kept
    python examples/demo.py --fresh    from the beginning

Trains `clusters` (molecules in several charge and spin states) and `salt` (molten NaCl) at the same time,
scans molecules in two states, runs 4096 ions in LAMMPS on two ranks, and writes demo/report.html.
"""

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demonstration import melt, scans, summary
from demonstration.exports import Export, export_together
from demonstration.page import Results, write_page
from demonstration.salt import evaluate_salt
from demonstration.simulation import SCRIPTS
from demonstration.stages import Stages
from demonstration.training import Training, train_together
from rich.console import Console

from charon.data import read_structures
from charon.errors import CharonError
from charon.run_directory import RunDirectory
from charon.train.progress import clock

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Options:
    """What may be chosen.

    Args:
        folder: where everything is written.
        configs: YAML files of the trainings `clusters` and `salt`.
        fresh: nothing of an earlier call is kept.
        minutes: length of each training; None leaves it to the configurations.
        simulation_minutes: length aimed at for the simulation in LAMMPS.
    """

    folder: Path
    configs: dict[str, Path]
    fresh: bool
    minutes: float | None
    simulation_minutes: float


class Demonstration:
    """The stages, in order; each leaves files that a later call reuses unless its inputs have changed."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options, self.console, self.folder = options, console, options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stages = Stages(self.folder, options.fresh)
        length = () if options.minutes is None else (f"training.max_minutes={options.minutes:g}",)
        self.trainings = {
            name: Training(name, path, ("training.threads=1", *length), RunDirectory(self.folder / name))
            for name, path in options.configs.items()
        }
        runs = {name: training.run for name, training in self.trainings.items()}
        self.exports = {
            "clusters": Export(runs["clusters"], self.folder / "clusters.pt"),
            "salt": Export(runs["salt"], self.folder / "salt.pt"),
            "double": Export(runs["salt"], self.folder / "salt-float64.pt", "float64"),
        }

    def run(self) -> Path:
        """All stages; returns the path of the report."""
        self.train()
        self.export()
        self.simulate()
        return self.report()

    def train(self) -> None:
        """Trains what does not stand, both at once; continues what was interrupted."""
        self.console.rule("training, one core each", align="left")
        missing = [training for training in self.trainings.values() if not self._trained(training)]
        if missing:
            train_together(missing, self.console)
        for training in missing:
            self.stages.finished(training.name, training.inputs)

    def _trained(self, training: Training) -> bool:
        inputs = training.inputs
        if training.run.evaluation.is_file() and self.stages.stands(training.name, inputs):
            self._say(f"{training.run.path} stands")
            return True
        if not self.stages.stands(f"{training.name} begun", inputs):
            shutil.rmtree(training.run.path, ignore_errors=True)
            self.stages.finished(f"{training.name} begun", inputs)
        return False

    def export(self) -> None:
        """Writes both models, the salt in float64 too."""
        self.console.rule("export", align="left")
        stamps = {export.path.name: export for export in self.exports.values()}
        missing = {
            name: export
            for name, export in stamps.items()
            if not (export.path.is_file() and self.stages.stands(name, export.inputs()))
        }
        with self.console.status("writes and verifies the model files"):
            export_together(list(missing.values()))
        for name, export in missing.items():
            self.stages.finished(name, export.inputs())
        for export in self.exports.values():
            self._say(export.line())

    def simulate(self) -> None:
        """Molten salt in LAMMPS, and its last configuration in LAMMPS and ASE."""
        self.console.rule("molten NaCl in LAMMPS on two ranks", align="left")
        folder, model, double = self.folder / "melt", self.exports["salt"].path, self.exports["double"].path
        start = melt.starting_frame(read_structures(self.trainings["salt"].config.data.train))
        scripts = [SCRIPTS / "salt.in", SCRIPTS / "single_point.in"]
        inputs: list[str | Path] = [f"{start.source} {self.options.simulation_minutes}", model, double, *scripts]
        if self.stages.stands("melt", inputs):
            self._say(f"{folder} stands")
            return
        melt.simulate(model, start, folder, 60 * self.options.simulation_minutes, self.console)
        with self.console.status("the last configuration on two ranks, on one rank and in ASE"):
            melt.save_agreements(folder / "agreement.json", melt.compare(model, double, folder))
        self.stages.finished("melt", inputs)

    def report(self) -> Path:
        """Evaluates all of it, prints the table and writes the report."""
        with self.console.status("scans of Ag3 and CH2, pair distributions, figures"):
            results = self._results()
            path = write_page(results, self.folder)
        self.console.rule("results", align="left")
        self.console.print(summary.table(results.lines), highlight=False)
        return path

    def _results(self) -> Results:
        folder = self.folder / "melt"
        runs = {name: training.run for name, training in self.trainings.items()}
        errors = {name: run.read_evaluation()[0]["test"] for name, run in runs.items()}
        curves = [scans.evaluate(scan, self.exports["clusters"].path, self.folder) for scan in scans.SCANS]
        salt = evaluate_salt(self.trainings["salt"].config.data, folder)
        agreements, speed = melt.load_agreements(folder / "agreement.json"), melt.measured_speed(folder)
        lines = [
            *summary.lines_of_errors(errors["clusters"], errors["salt"]),
            *summary.lines_of_scans(curves),
            summary.line_of_coupling(scans.coupling_at_a_distance(self.exports["clusters"].path)),
            *summary.lines_of_salt(salt, speed),
            *summary.lines_of_agreement(agreements),
        ]
        said = [export.line() for export in self.exports.values()]
        return Results(lines, runs, curves, salt, agreements, speed, said)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def main() -> int:
    """The command line; returns 0, or 2 with a message for an error that the user can mend."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    started = time.monotonic()
    try:
        path = Demonstration(parse(), console).run()
    except CharonError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    console.print(f"\n{clock((time.monotonic() - started) / 60)} minutes. The report, with all figures:")
    console.print(f"open {path.resolve().as_uri()}", highlight=False, soft_wrap=True)
    return 0


def parse() -> Options:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="keep nothing of an earlier call")
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="default: %(default)s")
    parser.add_argument("--minutes", type=float, help="of each training; default: as the YAML files say")
    parser.add_argument(
        "--simulation-minutes", type=float, default=2.0, help="of LAMMPS, aimed at; default: %(default)s"
    )
    for name in ("clusters", "salt"):
        parser.add_argument(f"--{name}", type=Path, default=HERE / f"{name}.yaml", help="default: %(default)s")
    given = parser.parse_args()
    configs = {"clusters": given.clusters, "salt": given.salt}
    return Options(given.folder, configs, given.fresh, given.minutes, given.simulation_minutes)


if __name__ == "__main__":
    sys.exit(main())
