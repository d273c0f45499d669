"""Files and frames that cannot be read are named, with the reason."""

import lzma

import pytest

from charon.data import read_structures
from charon.errors import DataError

from .frames import HYDROGEN, PROPERTIES

BROKEN = {
    "missing atom": (
        HYDROGEN.replace("H 0.0 0.0 0.0 0.0 0.0 0.1\n", ""),
        "announces 2 atoms, 1 lines of atoms",
    ),
    "atom too many": (HYDROGEN + "H 0 0 2 0 0 0\n", "announces 2 atoms, 3 lines of atoms"),
    "missing column": (HYDROGEN.replace("0.74 0.0 0.0 -0.1", "0.74 0.0 0.0"), "the frame cannot be read"),
    "no number": (HYDROGEN.replace("0.74", "O.74"), "the frame cannot be read: ValueError.*O.74"),
    "no element": (
        HYDROGEN.replace("H 0.0 0.0 0.74", "Qq 0.0 0.0 0.74"),
        "the frame cannot be read: KeyError: 'Qq'",
    ),
    "no atoms": (f"0\n{PROPERTIES} charge=0 spin=1\n", "the frame has no atoms"),
    "position is NaN": (
        HYDROGEN.replace("0.74", "nan"),
        r"positions must be finite numbers.*at atom 1 \(1 of 2",
    ),
    "force is NaN": (HYDROGEN.replace("-0.1\n", "nan\n"), r"key 'forces' \(forces\) has values that are NaN"),
    "impossible state": (HYDROGEN.replace("spin=1", "spin=2"), "impossible state: 2 electrons"),
    "aliases disagree": (HYDROGEN.replace("spin=1", "spin=1 mult=3"), "spin multiplicity disagree"),
    "wrong shape": (HYDROGEN.replace("energy=-31.7", 'energy="1 2"'), r"must have shape \[\], found \[2\]"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_bad_frame_is_named(write, fault):
    text, message = BROKEN[fault]
    path = write(HYDROGEN * 2 + text + HYDROGEN)
    with pytest.raises(DataError, match=rf"set\.xyz, frame 2( \(line 9\))?: .*{message}"):
        read_structures(path)


@pytest.mark.parametrize("fault", BROKEN)
def test_the_other_frames_are_kept_on_request(write, fault):
    text, message = BROKEN[fault]
    path = write(HYDROGEN * 2 + text + HYDROGEN)
    with pytest.warns(UserWarning, match=rf"1 frames are left out, 3 are kept:\n.*frame 2.*{message}"):
        structures = read_structures(path, on_error="skip")
    assert [s.source.rsplit(" ", 1)[1] for s in structures] == ["0", "1", "3"]


def test_no_frame_is_left(write):
    with pytest.raises(DataError, match="None of 1 frames can be used:\n.*frame 0: the key 'e' named"):
        read_structures(write(HYDROGEN), keys={"energy": "e"}, on_error="skip")


def test_unreadable_file_of_another_format(write):
    path = write("ATOM      1  C   MOL     1       0.000   0.0x0   0.000  1.00  0.00\n", "set.pdb")
    with pytest.raises(DataError, match=r"set.pdb: ASE gave 0 frames, then could not read on \(ValueError"):
        read_structures(path)


def test_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(DataError, match=r"nowhere.xyz: there is no such file \(looked in /"):
        read_structures("nowhere.xyz")
    with pytest.raises(DataError, match="set.xyz: the file holds no frames"):
        read_structures(write("\n\n"))
    with pytest.raises(DataError, match="set.xyz, line 1: expected the number of atoms.*found 'hello'"):
        read_structures(write("hello\n"))
    with pytest.raises(DataError, match="set.unknown: ASE does not know this format. Convert it"):
        read_structures(write("hello\n", "set.unknown"))
    whole = lzma.compress((HYDROGEN * 50).encode())
    (tmp_path / "cut.xyz.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut.xyz.xz: cannot be read: .*Is the file complete"):
        read_structures(tmp_path / "cut.xyz.xz")
    (tmp_path / "fake.xyz.gz").write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="fake.xyz.gz: cannot be read"):
        read_structures(tmp_path / "fake.xyz.gz")
