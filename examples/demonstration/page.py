"""report.html of the demonstration, from the files that its stages left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charon.metrics import PROPERTIES, ErrorRow, overall
from charon.report import Page
from charon.report.looks import pretty
from charon.report.run_report import keep
from charon.run_directory import RunDirectory
from charon.tables import by_system
from demonstration.figures import course_figure, distributions_figure, scan_figure
from demonstration.melt import REPLICAS, TEMPERATURE, Agreement
from demonstration.salt import Salt
from demonstration.scans import ScanResult
from demonstration.summary import Line


@dataclass(frozen=True)
class Results:
    """All that the page shows.

    Args:
        lines: the summary.
        runs: run directories by name, `clusters` and `salt`.
        scans: molecules in two states.
        salt: the simulation beside the labelled dynamics.
        agreements: one configuration evaluated in several ways.
        speed: seconds of the simulation, microseconds per ion and step.
        exported: what `charon export` said of each file.
    """

    lines: Sequence[Line]
    runs: dict[str, RunDirectory]
    scans: Sequence[ScanResult]
    salt: Salt
    agreements: Sequence[Agreement]
    speed: tuple[float, float]
    exported: Sequence[str]


def write_page(results: Results, folder: Path) -> Path:
    """Draws the figures into `folder`/figures and writes `folder`/report.html."""
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    page = Page(
        "Charon: the demonstration",
        "Two small models, trained in a few minutes: molecules in several states, and molten salt.",
    )
    page.section("Summary")
    add_summary(page, results.lines)
    page.section("One molecule, two states")
    add_states(page, results.scans, figures)
    page.section("Molten salt in LAMMPS")
    add_simulation(page, results, figures)
    page.section("One energy in LAMMPS and ASE")
    add_agreement(page, results.agreements)
    for name, title in (("clusters", "Test set: molecules and clusters"), ("salt", "Test set: molten salt")):
        page.section(title)
        add_test_set(page, results.runs[name])
    page.section("Learning curves")
    for name, run in results.runs.items():
        page.heading(name)
        page.figure(run.plots / "learning_curves.png", _length(run))
    page.section("How it was made")
    add_commands(page, results)
    return page.write(folder / "report.html")


def add_summary(page: Page, lines: Sequence[Line]) -> None:
    """The results, a table per topic."""
    for topic in dict.fromkeys(line.topic for line in lines):
        rows = [[line.what, line.value, line.beside] for line in lines if line.topic == topic]
        page.table([topic, "", ""], rows)


def add_states(page: Page, scans: Sequence[ScanResult], figures: Path) -> None:
    """The scans of molecules in two states."""
    page.text(
        "The same nuclei in two states have two energies. One model gives both: the total charge and the "
        "number of unpaired electrons enter as constraints on the sums of atomic charges and spins. Lines "
        "are the method that labelled the data, points the model; these geometries are not among its data. A "
        "model that is not told the state has one curve for both; the mean of the states, dashed, is the "
        "best it could do where both are as frequent in its data."
    )
    for result in scans:
        keep(page, figures / f"scan_{result.scan.name}.png", scan_figure(result))


def add_simulation(page: Page, results: Results, figures: Path) -> None:
    """The molten salt: distributions, course, numbers."""
    salt, (seconds, per_ion) = results.salt, results.speed
    steps = len(salt.runs[0]["Step"]) - 1
    page.text(
        f"NaCl at {TEMPERATURE} K and 1.65 g/cm³: {salt.n_ions} ions, {REPLICAS} x {REPLICAS} x {REPLICAS} "
        f"copies of a labelled cell of {salt.n_ions // REPLICAS**3}, on two MPI ranks; {steps} steps of 2 fs "
        f"with a thermostat and {steps} without took {seconds:.0f} s, {per_ion:.0f} µs per ion and step. "
        "The distributions are means over the second half of each part. The grey band is two standard "
        f"errors of the labelled dynamics ({salt.frames} frames of three trajectories, in blocks of 0.3 ps); "
        "it ends at half the labelled cell."
    )
    curves = {"NVT": salt.nvt, "NVE": salt.nve}
    keep(page, figures / "distributions.png", distributions_figure(salt.labelled, curves))
    rows = [[pair, *(f"{x:.2f}" for peak in peaks for x in peak)] for pair, peaks in salt.peaks().items()]
    headings = [f"{part}: {what}" for part in ("labelled", *curves) for what in ("r [Å]", "height")]
    page.table(["pair", *headings], rows, caption="First peak of g(r)")
    course = course_figure(salt.runs, salt.n_ions, TEMPERATURE, salt.labelled_pressure)
    keep(page, figures / "course.png", course)
    page.text(about_drift(salt))
    page.text(
        f"Mean charge of Na: {salt.model_charge:+.3f} e in the simulation, {salt.labelled_charge:+.3f} e in "
        "the labelled structures."
    )


def about_drift(salt: Salt) -> str:
    """The drift in words, with the length over which it was measured."""
    drift, time = salt.drift, salt.runs[1]["Time"]
    return (
        f"Total energy without thermostat, model in float32: {drift.slope:+.3g} ± {drift.error:.1g} "
        f"meV/atom/ps by a straight line over {time[-1] - time[0]:.2f} ps, {1e3 * drift.slope:+.3g} "
        f"meV/atom/ns if it went on so; {drift.scatter:.2g} meV/atom of scatter about the line. "
        "In so short a time slow swings of the integrator's error look like a slope too."
    )


def add_agreement(page: Page, agreements: Sequence[Agreement]) -> None:
    """One configuration by LAMMPS and by ASE."""
    page.text(
        "The last configuration of the simulation, evaluated in LAMMPS on two ranks and on one and by the "
        "ASE calculator: first with the file that was run, then with the same weights exported in float64."
    )
    headings = ["compared", "precision", "energy [eV]", "difference [eV]", "largest of forces [eV/Å]"]
    rows = [
        [a.what, a.dtype, f"{a.energy:.6f}", f"{a.energy_difference:+.1e}", f"{a.force_difference:.1e}"]
        for a in agreements
    ]
    page.table(headings, rows)


def add_test_set(page: Page, run: RunDirectory) -> None:
    """Errors of each system and parity of each property on the test set of a run, as its report has them."""
    names = [prop.name.replace(" ", "_") for prop in PROPERTIES]
    with page.columns():
        for path in _existing(run, "parity_test", names):
            page.figure(path, width="28rem")
    for path in _existing(run, "systems_test", names):
        page.figure(path, summary=f"{path.stem.removeprefix('systems_test_').replace('_', ' ')}: each system")
    add_errors(page, run.read_evaluation()[0]["test"])


def add_errors(page: Page, rows: Sequence[ErrorRow]) -> None:
    """MAE of each property, a line per system; the report of the run has the RMSE too."""
    whole = {name: row for name, row in overall(rows).items() if name != "energy"}
    lines: list[list[object]] = []
    for system, found in by_system(rows).items():
        cells = [float(f"{found[name].mae:.3g}") if name in found else "-" for name in whole]
        lines.append([system, max(row.frames for row in found.values()), *cells])
    headings = [f"{name} [{pretty(row.unit)}]" for name, row in whole.items()]
    page.table(["system", "frames", *headings], lines, caption="Mean absolute errors", strong=[0])


def _existing(run: RunDirectory, kind: str, names: Sequence[str]) -> list[Path]:
    paths = [run.plots / f"{kind}_{name}.png" for name in names]
    return [path for path in paths if path.is_file()]


def add_commands(page: Page, results: Results) -> None:
    """Commands, configurations, and what the export has verified."""
    page.code(
        "charon train examples/clusters.yaml training.threads=1 --run-dir demo/clusters\n"
        "charon train examples/salt.yaml training.threads=1 --run-dir demo/salt\n"
        "charon export demo/clusters -o demo/clusters.pt\n"
        "charon export demo/salt -o demo/salt.pt\n"
        "mpiexec -n 2 lmp -in examples/lammps/salt.in -var model demo/salt.pt -var data demo/melt/start.data"
    )
    page.code("\n".join(results.exported))
    for name, run in results.runs.items():
        page.code(run.config.read_text(encoding="utf-8"), summary=f"configuration of {name}")


def _length(run: RunDirectory) -> str:
    last = run.read_metrics()[-1]
    return f"{last['epoch']:.0f} epochs, {last['minutes']:.1f} minutes on one thread, both trainings at once."
