"""MACE in an environment of its own, found through CHARON_BENCH_MACE_PYTHON."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

VARIABLE = "CHARON_BENCH_MACE_PYTHON"
INSTALL = f"""\
{VARIABLE} is not set, so MACE was not run. To compare, give it an environment outside of the repository:
  python3 -m venv ENV && ENV/bin/pip install torch==2.13.0
  ENV/bin/pip install --no-deps mace-torch==0.3.16 e3nn==0.4.4 opt_einsum_fx torch-ema torchmetrics
  ENV/bin/pip install ase matscipy opt_einsum h5py prettytable orjson configargparse pandas lmdb GitPython \\
    python-hostlist lightning-utilities pyyaml tqdm matplotlib scipy sympy
  make bench {VARIABLE}=ENV/bin/python"""


class PeerMissing(Exception):
    """The peer is not installed, or does not run."""


def run_mace(what: str, frames: list[Atoms], threads: int, folder: Path) -> dict[str, Any]:
    """What `mace_peer.py` prints for `forces` or `training` of the frames. Raises PeerMissing."""
    python = os.environ.get(VARIABLE)
    if not python:
        raise PeerMissing(INSTALL)
    ase.io.write(folder / "frames.xyz", frames)
    script = Path(__file__).with_name("mace_peer.py")
    done = subprocess.run(
        [python, "-P", script, what, "frames.xyz", str(threads)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise PeerMissing(f"mace_peer.py {what} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
