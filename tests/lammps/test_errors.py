"""Wrong input ends at once, on every rank, with a text that says what was expected and what was found."""

import json
import zipfile
from pathlib import Path

import pytest
import torch

from charon.export import load_model


@pytest.fixture
def text(lammps, inputs, model_path):
    """The input of the molecule with one line changed."""

    def make(old: str = "", new: str = "", **options) -> str:
        case = inputs.cases["molecule"]
        data = lammps.data(case.atoms, case.elements)
        options = {"state": case.state, "boundary": case.boundary, "model": model_path, **options}
        written = inputs.script(data, options.pop("model"), options.pop("elements", "C H"), **options)
        assert old in written
        return written.replace(old, new) if old else written

    return make


def rewritten(source: Path, target: Path, **texts: str) -> Path:
    """A copy of a model file with other texts beside the module; an empty one is left out."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for item in archive.infolist():
            name = Path(item.filename).stem
            content = texts[name].encode() if "/extra/" in item.filename and name in texts else archive.read(item)
            if content:
                copy.writestr(item.filename, content)
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(elements="C Xe"), "element 'Xe' is not in {model}, which knows: H C Na Cl"),
        (dict(elements="C"), "needs one element per atom type, expected 2, found 1"),
        (dict(elements="C H Na"), "needs one element per atom type, expected 2, found 3"),
        (dict(elements="C NULL"), "type 2 has no element; NULL is for types of another style in hybrid"),
        (dict(old="pair_coeff * *", new="pair_coeff 1 *"), "Pair_coeff must start with * * for pair style charon"),
        (dict(old="newton on", new="newton off"), "expected newton on for pairs, found newton off"),
        (dict(units="lj"), "expected units metal or real, found units lj"),
        (dict(state="charge 1"), "depends on the total charge and spin multiplicity; say both"),
        (dict(state=""), "depends on the total charge and spin multiplicity; say both"),
        (dict(state="charge 1 spin 1"), "21 electrons (charge 1) cannot have the spin multiplicity 1"),
        (dict(state="charge 1 spin 0"), "spin is the multiplicity 2S+1, an integer >= 1; found 0"),
        (dict(state="charge 0.5 spin 1"), "Expected integer parameter instead of '0.5'"),
        (dict(state="charge 1 spin"), "the keyword 'spin' has no value"),
        (
            dict(state="charge 1 multiplicity 2"),
            "unknown keyword 'multiplicity', expected 'charge Q', 'mu MU'",
        ),
        (dict(model="absent.pt"), "model file 'absent.pt' does not exist"),
    ],
)
def test_input(lammps, text, model_path, change, message):
    assert message.format(model=model_path) in lammps.fail(text(**change))


def test_no_model_named(lammps, text, model_path):
    assert "pair_style charon" in lammps.fail(
        text(old=f"pair_style charon {model_path} charge 1 spin 2", new="pair_style charon")
    )


# ---- files; the texts come from the runtime, which is quicker to ask than a whole LAMMPS


def refusal(path: Path) -> str:
    with pytest.raises(RuntimeError) as caught:
        torch.classes.charon.RuntimeModel(str(path))
    return str(caught.value).splitlines()[0]


def test_truncated_file(lammps, text, model_path, tmp_path):
    (tmp_path / "short.pt").write_bytes(model_path.read_bytes()[:30000])
    assert "model file 'short.pt' is truncated or damaged" in lammps.fail(text(model="short.pt"), ranks=2)


def test_file_that_is_no_model(lammps, text, tmp_path):
    (tmp_path / "notes.pt").write_text("not a model at all")
    assert "model file 'notes.pt' is no Charon model: expected a file written by `charon export`" in lammps.fail(
        text(model="notes.pt")
    )


def test_foreign_torchscript_and_checkpoints(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "foreign.pt"))
    assert "is no Charon model, it lacks extra/metadata.json" in refusal(tmp_path / "foreign.pt")
    torch.save({"weights": torch.ones(3)}, tmp_path / "checkpoint.pt")
    assert "is no Charon model" in refusal(tmp_path / "checkpoint.pt")
    (tmp_path / "empty.pt").touch()
    assert "is empty or cannot be read" in refusal(tmp_path / "empty.pt")
    assert "is not a file" in refusal(tmp_path)


def metadata(model_path: Path, **changes: object) -> str:
    return json.dumps({**load_model(model_path).metadata, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": 7, "charon": "9.1"},
            "its format is version 7, written by Charon 9.1; this build reads version 1: ",
        ),
        (
            {"op_schema": 3, "charon": "9.1"},
            "its op_schema is version 3, written by Charon 9.1; this build reads versions 1 to",
        ),
        ({"op_schema": 0}, "this build reads versions 1 to 2: use a build of the version that wrote it, or export the"),
        ({"dtype": "float16"}, "expected dtype float32 or float64, found 'float16'"),
        ({"electronic": "magic"}, "expected electronic 'equilibration', 'hdnnp4g', 'spooky' or 'none', found 'magic'"),
        ({"elements": "NaCl"}, "expected a list"),
        ({"elements": ["Na", "Cx"]}, "expected a chemical symbol, found 'Cx'"),
    ],
)
def test_metadata(model_path, tmp_path, changes, message):
    path = rewritten(model_path, tmp_path / "other.pt", metadata=metadata(model_path, **changes))
    assert message in refusal(path)


def test_metadata_without_a_key(model_path, tmp_path):
    content = load_model(model_path).metadata
    del content["cutoff"]
    path = rewritten(model_path, tmp_path / "other.pt", metadata=json.dumps(content))
    assert "the key 'cutoff' is absent" in refusal(path)
    path = rewritten(model_path, tmp_path / "other.pt", metadata="{ no json")
    assert "expected a key at byte 2 of the JSON text" in refusal(path)


def test_golden_sample_that_differs(model_path, tmp_path):
    extra: dict[str, str] = {"golden.json": ""}
    torch.jit.load(str(model_path), _extra_files=extra)
    golden = json.loads(extra["golden.json"])
    golden["outputs"]["charges"][0] += 5.5
    path = rewritten(model_path, tmp_path / "other.pt", golden=json.dumps(golden))
    assert "the golden sample's charges differ by " in refusal(path)
    path = rewritten(model_path, tmp_path / "other.pt", golden="")
    assert "is no Charon model, it lacks extra/golden.json" in refusal(path)


def test_exchange_wider_than_announced(lammps, text, model_path, tmp_path):
    path = rewritten(model_path, tmp_path / "other.pt", metadata=metadata(model_path, exchange_width=1))
    message = lammps.fail(text(model=path), ranks=2)
    assert "numbers per atom, but its file announces at most 1: export it again" in message


# ---- atoms


def test_parity_in_a_periodic_box_is_a_warning(lammps, text):
    outcome = lammps.succeed(text(boundary="p p p", state="charge 1 spin 1"))
    assert "WARNING: pair_style charon: 21 electrons (charge 1) cannot have the spin multiplicity 1" in outcome.text


def test_states_outside_of_training_are_warnings(lammps, text):
    outcome = lammps.succeed(text(state="charge 2 spin 5"))
    assert "WARNING: pair_style charon: charge 2 is outside of what" in outcome.text
    assert "WARNING: pair_style charon: spin 5 is outside of what" in outcome.text


def test_a_blind_model_takes_no_state(lammps, text, blind_path):
    assert lammps.succeed(text(model=blind_path, state="")).thermo["PotEng"].size == 1
    outcome = lammps.succeed(text(model=blind_path))
    assert "knows no charge and spin; the values given are not used" in outcome.text


@pytest.mark.parametrize("ranks", [1, 2])
def test_positions_that_are_not_numbers(lammps, text, ranks):
    """LAMMPS' own checks are passed by: the step before the next neighbor list must notice it."""
    spoil = "neigh_modify delay 100 every 100 check no\nrun 0\nvariable nan atom exp(1000)-exp(1000)\n"
    spoil += "group third id 3\nset group third x v_nan\nrun 2 pre no post no\n"
    message = lammps.fail(text(old="\nrun 0\n", new="\n" + spoil), ranks)
    assert "pair_style charon: the position of atom 3 is not finite at step 1" in message


@pytest.mark.parametrize("x", [1.0, 13.0])
def test_atoms_at_the_same_place_end_all_ranks(lammps, text, blind_path, x):
    """Only one of two ranks sees the two carbon atoms; the other one waits in an exchange."""
    moved = "".join(f"set atom {k} x {x} y 3.0 z 3.0\n" for k in (1, 2))
    moved += "".join(f"set atom {k} x {14 - x}\n" for k in (3, 4, 5, 6, 7))
    script = text(model=blind_path, state="", old="\nrun 0\n", new=f"\n{moved}run 2\n")
    assert "is not finite at step 0: two atoms may coincide" in lammps.fail(script, ranks=2)


def test_bonded_atoms_excluded_from_the_list(lammps, text, tmp_path):
    bonded = text(old="atom_style charge", new="atom_style full\nbond_style zero")
    content = (tmp_path / "atoms.data").read_text().replace("2 atom types", "2 atom types\n1 bonds\n1 bond types")
    lines = content.replace("Atoms # charge", "Atoms # full").splitlines()
    start = lines.index("Atoms # full") + 2
    lines[start:] = [line.replace(" ", " 1 ", 1) for line in lines[start:]]
    (tmp_path / "atoms.data").write_text("\n".join([*lines, "", "Bonds", "", "1 1 1 2", ""]))
    bonded = bonded.replace("neighbor 1.0 bin", "bond_coeff *\nneighbor 1.0 bin")
    bonded = bonded.replace("read_data atoms.data", "read_data atoms.data extra/special/per/atom 4")
    assert "use special_bonds lj/coul 1 1 1" in lammps.fail(bonded)
    allowed = bonded.replace("fix move", "special_bonds lj/coul 1 1 1\nfix move")
    assert lammps.succeed(allowed).thermo["PotEng"].size == 1


def test_the_entry_point_names_the_plugin_folder():
    from charon.native import plugin_directory

    assert (Path(plugin_directory()) / "charonplugin.so").is_file()
