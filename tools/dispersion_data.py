"""Writes python/charon/model/reference_data/ from the published tables in tad-dftd3, tad-dftd4 and tad-mctc.

    pip install tad-dftd3==0.7.0 tad-dftd4==0.6.1 tad-mctc==0.8.0    (in an environment of its own)
    python tools/dispersion_data.py

The numbers are copied as they are, in atomic units, except that the polarisabilities of the D4 references are brought
to the atom in its reference molecule (Caldeweyher et al. 2019): the scaled contribution of its partners
is taken off.
"""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tad_dftd4 import reference
from tad_dftd4.data import R4R2
from tad_dftd4.reference import charge_eeq, charge_gfn2
from tad_mctc.data import en, hardness, radii, zeff

OUT = Path(__file__).parents[1] / "python" / "charon" / "model" / "reference_data"
LAST = 103
"""Lawrencium: the last element that both tables have."""


def package(name: str) -> Path:
    """Folder of an installed package."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed; see the first lines of this file.")
    return Path(spec.origin).parent


def elements() -> dict[str, np.ndarray]:
    """Per element, row 0 unused: covalent radii with the factor 4/3, sqrt(Q), electronegativity."""
    rows = slice(0, LAST + 1)
    return {
        "covalent_radius": radii.COV_D3(dtype=torch.double)[rows].numpy(),
        "r4r2": R4R2.double()[rows].numpy(),
        "electronegativity": en.PAULING(dtype=torch.double)[rows].numpy(),
    }


def d3() -> dict[str, np.ndarray]:
    """Coordination numbers of the references (-1 where there is none), C6 of all pairs of them in units of 1e-4."""
    import tad_dftd3

    table = tad_dftd3.reference.Reference(dtype=torch.double)
    number, slot = np.nonzero(table.cn.numpy() >= 0)  # [n_references]
    c6 = table.c6.numpy()[number[:, None], number[None], slot[:, None], slot[None]]  # [n_references, n_references]
    whole = np.rint(c6 * 1e4).astype(np.int32)
    assert np.abs(whole - c6 * 1e4).max() < 1e-6 and (whole == whole.T).all()
    return {"number": number, "coordination": table.cn.numpy()[number, slot], "c6": whole[np.tril_indices(len(number))]}


def charge_scaling(hardness: torch.Tensor, charge: torch.Tensor, reference_charge: torch.Tensor) -> torch.Tensor:
    """`exp(3 (1 - exp(hardness (1 - reference / charge))))`, charges of the nucleus included."""
    return torch.exp(3.0 * (1.0 - torch.exp(hardness * (1.0 - reference_charge / charge))))


def d4() -> dict[str, np.ndarray]:
    """Coordination numbers, Gaussians, charges and polarisabilities at 23 frequencies of all references.

    Charges, and the polarisabilities that depend on them, also of GFN2-xTB, up to radon (0 beyond).
    """
    number, slot = np.nonzero(reference.refc.numpy() > 0)  # [n_references]
    nuclear, hard = zeff.ZEFF(dtype=torch.double), hardness.GAM(dtype=torch.double)
    gfn2_charge, gfn2_partner = (
        torch.nn.functional.pad(table, [0, 0, 0, charge_eeq.clsq.size(0) - table.size(0)])
        for table in (charge_gfn2.refq.double(), charge_gfn2.refh.double())
    )
    return {
        "number": number,
        "coordination": reference.refcovcn.numpy()[number, slot],
        "gaussians": reference.refc.numpy()[number, slot],
        "charge": charge_eeq.clsq.double().numpy()[number, slot],
        "polarisability": polarisability(number, slot, charge_eeq.clsh.double()),
        "charge_gfn2": gfn2_charge.numpy()[number, slot],
        "polarisability_gfn2": polarisability(number, slot, gfn2_partner),
        "effective_charge": nuclear.numpy()[: LAST + 1],
        "hardness": hard.numpy()[: LAST + 1],
    }


def polarisability(number: np.ndarray, slot: np.ndarray, partner_charge: torch.Tensor) -> np.ndarray:
    """Of the references at 23 frequencies [n_references, 23], given the charges of the partners in their molecules."""
    partner = reference.refsys[number, slot]
    nuclear, hard = zeff.ZEFF(dtype=torch.double), hardness.GAM(dtype=torch.double)
    charge = partner_charge[number, slot] + nuclear[partner]
    scaling = charge_scaling(2.0 * hard[partner], charge, nuclear[partner])
    others = (reference.secscale[partner] * reference.secalpha[partner]) * scaling.unsqueeze(1)  # [n_references, 23]
    alpha = reference.refalpha[number, slot] - reference.refscount[number, slot].unsqueeze(1) * others
    return (reference.refascale[number, slot].unsqueeze(1) * alpha).clamp(min=0.0).numpy()


XTB = {
    "d3": 'gfn1 = { s6 = 1.0, s8 = 2.4, a1 = 0.63, a2 = 5.0, doi = "10.1021/acs.jctc.7b00118" }',
    "d4": 'gfn2 = { s6 = 1.0, s8 = 2.7, a1 = 0.52, a2 = 5.0, doi = "10.1021/acs.jctc.8b01176" }',
}
"""Tight-binding methods, which the packages do not list: Grimme et al. 2017, Bannwarth et al. 2019."""


def damping() -> str:
    """Becke-Johnson damping of each functional as TOML."""
    lines = ["# a2 in Bohr; see README.md"]
    sources = {
        "d3": (package("tad_dftd3") / "param" / "parameters.toml", "bj"),
        "d4": (package("tad_dftd4") / "damping" / "parameters" / "parameters.toml", "bj-eeq-atm"),
    }
    for kind, (path, variant) in sources.items():
        lines += ["", f"[{kind}]", XTB[kind]]
        for name, entry in sorted(tomllib.loads(path.read_text())["parameter"].items()):
            if variant in entry.get(kind, {}):
                values = {"s6": 1.0, **entry[kind][variant]}
                numbers = ", ".join(f"{key} = {float(values[key])}" for key in ("s6", "s8", "a1", "a2"))
                doi = f', doi = "{values["doi"]}"' if "doi" in values else ""
                lines.append(f"{name} = {{ {numbers}{doi} }}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    np.savez_compressed(OUT / "elements.npz", **elements())
    np.savez_compressed(OUT / "d3.npz", **d3())
    np.savez_compressed(OUT / "d4.npz", **d4())
    (OUT / "damping.toml").write_text(damping())
