"""`input.data` of n2p2 and RuNNer: units, labels, states, and what is wrong in a file."""

import numpy as np
import pytest
from ase.units import Bohr, Hartree

from charon.data.read import read_structures
from charon.errors import CharonError

FRAME = """begin
comment water
lattice 20.0 0.0 0.0
lattice 0.0 20.0 0.0
lattice 0.0 0.0 20.0
atom 0.0 0.0 0.25 O -0.6 0.0 0.0 0.0 0.01
atom 0.0 1.4 -1.0 H 0.3 0.0 0.0 0.02 -0.005
atom 0.0 -1.4 -1.0 H 0.3 0.0 0.0 -0.02 -0.005
energy -76.25
charge 0.0
end
"""


def read(tmp_path, text, **options):
    path = tmp_path / "input.data"
    path.write_text(text)
    return read_structures(path, **{"default_spin": 1, **options})


def test_atomic_units_become_ev_and_angstrom(tmp_path):
    first, second = read(tmp_path, FRAME + FRAME.replace("-76.25", "-76.5"))
    assert float(first.labels["energy"]) == pytest.approx(-76.25 * Hartree, rel=1e-7)
    assert float(second.labels["energy"]) == pytest.approx(-76.5 * Hartree, rel=1e-7)
    np.testing.assert_allclose(first.positions[1], [0.0, 1.4 * Bohr, -1.0 * Bohr], rtol=1e-7)
    np.testing.assert_allclose(first.labels["forces"][1], np.array([0.0, 0.02, -0.005]) * Hartree / Bohr, rtol=1e-7)
    np.testing.assert_allclose(first.labels["charges"], [-0.6, 0.3, 0.3])
    np.testing.assert_allclose(first.cell, 20.0 * Bohr * np.eye(3), rtol=1e-7)
    assert first.pbc.all() and first.total_charge == 0 and first.spin_multiplicity == 1


def test_a_multiplicity_is_not_guessed(tmp_path):
    with pytest.raises(CharonError, match="multiplicity not given.*--lowest-spin"):
        read(tmp_path, FRAME, default_spin=None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.6 0.0 0.0 0.0 0.01", "-0.6 0.0 0.0 0.0"),  # a number is missing
        (" O ", " Qq "),
        ("energy -76.25", "energy low"),
        ("lattice 0.0 0.0 20.0\n", ""),
        ("end\n", ""),
        ("comment water", "remark water"),
    ],
)
def test_a_broken_file_is_named_with_its_place(tmp_path, old, new):
    with pytest.raises(CharonError, match=r"input\.data"):
        read(tmp_path, FRAME.replace(old, new))
