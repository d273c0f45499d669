"""The page builder, the figures and the report of a run."""

import io
import sys
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

from charon.errors import ModelFileError
from charon.metrics import PROPERTIES
from charon.report import Page, write_run_report
from charon.report.looks import logarithmic, new_figure, pretty
from charon.report.page import png
from charon.report.plots import collect, error_histograms, group_of, learning_curves, parity, parity_grid
from charon.run_directory import RunDirectory
from charon.structure import Structure

FORCES = next(prop for prop in PROPERTIES if prop.name == "forces")
ENERGY = next(prop for prop in PROPERTIES if prop.name == "energy per atom")
VOID = {"meta", "img", "br", "hr"}


class Outline(HTMLParser):
    """Checks that tags are closed in order; keeps tags, texts and sources."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def structures(sets) -> list[Structure]:
    return [Structure.from_atoms(atoms, source=f"a.xyz, frame {i}") for i, atoms in enumerate(sets.trimers(8))]


@pytest.fixture
def predictions(structures):
    random = np.random.default_rng(5)
    return [{k: v + random.normal(scale=0.01, size=v.shape) for k, v in s.labels.items()} for s in structures]


def test_page_is_whole_and_loads_nothing(tmp_path):
    page = Page("Title & more", "subtitle")
    page.section("First <section>")
    page.text("a < b")
    page.heading("Part")
    page.table(["name", "value"], [["x", 1.23456], ["y", "-"]], caption="numbers", strong=[1])
    page.code("key: value", summary="config")
    page.figure(new_figure()[0], caption="empty", width="10rem")
    page.figure(new_figure()[0], summary="folded")
    with page.columns():
        page.text("beside")
    html = page.write(tmp_path / "page.html").read_text(encoding="utf-8")
    outline = Outline(html)
    assert all(link.startswith(("data:image/png;base64,", "#s")) for link in outline.links)
    assert {"Title & more", "First <section>", "a < b", "1.235", "beside"} <= set(outline.texts)
    assert outline.tags.count("details") == 2 and outline.tags.count("img") == 2
    assert "<script" not in html and "@import" not in html and "url(" not in html


def test_numbers_are_aligned_to_the_right():
    page = Page("t")
    page.table(["name", "value", "mixed"], [["x", 1.5, "word"], ["y", "-", 2]])
    html = page.html()
    assert '<td class="number">1.5</td>' in html and '<td class="number">-</td>' in html
    assert "<td>word</td>" in html and "<td>x</td>" in html


def test_figure_from_a_file(tmp_path):
    (tmp_path / "f.png").write_bytes(png(new_figure()[0]))
    page = Page("t")
    page.figure(tmp_path / "f.png")
    assert "data:image/png;base64,iVBOR" in page.html()


def test_units_as_printed():
    assert [pretty(u) for u in ("meV/A", "meV/A^3", "me A", "m mu_B", "meV/atom")] == [
        "meV/Å",
        "meV/Å³",
        "me Å",
        "m μB",
        "meV/atom",
    ]


def test_collect_takes_energies_from_the_mean_of_their_system(structures, predictions):
    pairs = collect(ENERGY, structures, predictions)
    assert list(pairs) == ["Ag3+", "Ag3-"]
    assert all(abs(reference.mean()) < 1e-9 for reference, _ in pairs.values())
    reference, predicted = pairs["Ag3+"]
    first = 1000 * (predictions[0]["energy"] - structures[0].labels["energy"]) / 3
    assert np.isclose(predicted[0] - reference[0], first, rtol=1e-6)


def test_many_systems_are_colored_by_state(sets):
    frames = sets.trimers(24)
    for index, atoms in enumerate(frames):
        atoms.info["system"] = f"system {index}"
    structures = [Structure.from_atoms(atoms) for atoms in frames]
    assert {group_of(structures)(s) for s in structures} == {
        "charge +1, multiplicity 1",
        "charge -1, multiplicity 1",
    }
    assert {group_of(structures[:3])(s) for s in structures[:3]} == {"system 0", "system 1", "system 2"}


def drawn(figure) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(png(figure)), format="png")


def test_figures_are_drawn(structures, predictions):
    pairs = {prop.name: collect(prop, structures, predictions) for prop in (ENERGY, FORCES)}
    figures = [
        parity(FORCES, pairs["forces"]),
        parity_grid(ENERGY, pairs["energy per atom"]),
        error_histograms(pairs),
    ]
    for figure in figures:
        image = drawn(figure)
        assert image.shape[0] > 300 and image[..., :3].std() > 0.02


def test_parity_of_a_single_value():
    assert drawn(parity(ENERGY, {"one": (np.zeros(1), np.zeros(1))})).size


def test_learning_curves(finished_run):
    figure = learning_curves(RunDirectory(finished_run).read_metrics())
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert titles[0].startswith("loss") and titles[-1] == "learning rate"
    assert "validation forces MAE [meV/Å]" in titles


def test_learning_curves_without_validation():
    rows = [{"epoch": e, "train_loss": 1 / e, "learning_rate": 0.01} for e in (1.0, 2.0)]
    assert drawn(learning_curves(rows)).size


@pytest.mark.parametrize("values", [[96.0, 108.0], [0.01, 300.0]])
def test_log_axes_have_plain_numbers(values):
    figure, (axis,) = new_figure()
    axis.plot([0, 1], values)
    logarithmic(axis)
    figure.canvas.draw()
    low, high = axis.get_ylim()
    labels = [t.get_text() for t in axis.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert len(labels) >= 2 and all(float(label) > 0 for label in labels)


def test_report_of_a_run(finished_run):
    outline = Outline((finished_run / "report.html").read_text(encoding="utf-8"))
    sections = {
        "Summary",
        "Learning curves",
        "Test set",
        "Validation set",
        "Train set",
        "Data",
        "Configuration",
    }
    assert sections <= set(outline.texts)
    text = "\n".join(outline.texts)
    for part in ("meV/Å", "Ag3+", "reference energy, eV", "cutoff: 4.0", "Worst frames", "test.xyz, frame"):
        assert part in text
    assert outline.tags.count("img") >= 6


def test_report_is_rebuilt(finished_run):
    before = (finished_run / "report.html").read_text(encoding="utf-8")
    path = write_run_report(finished_run)
    assert path == finished_run / "report.html" and path.read_text(encoding="utf-8") == before


def test_report_before_the_end(tmp_path):
    with pytest.raises(ModelFileError, match="is no run directory"):
        write_run_report(tmp_path)
    (tmp_path / "config.yaml").write_text("data: {}")
    with pytest.raises(ModelFileError, match="the training has not ended .*`charon resume"):
        write_run_report(tmp_path)


def test_global_state_of_matplotlib_is_not_touched(structures, predictions):
    parity(FORCES, collect(FORCES, structures, predictions))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
