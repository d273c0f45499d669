"""The parts of nonlocal.md, each of one file of results; a part without its file is left out."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from .apart import EQUAL
from .texts import APART, CHAINS, CUMULENES, LEAVING, LODE, MATRIX, WETTING

RESULTS = Path(__file__).parents[1] / "results"
SHOWN = ("C8H2", "C10H2", "C12H2", "C16H2", "C20H2", "C8H3+", "C12H3+", "C20H3+")
"""Of the chains, in the table."""
MECHANISMS = {
    "local": "none",
    "default": "charge and spin",
    "nse": "charge, spin, electrostatics",
    "qeq": "charges that answer, potential",
    "learned": "charge, spin, bonds",
    "attention": "charge, spin, space",
    "full": "charge, spin, electrostatics, bonds",
    "full-attention": "all of these",
    "spooky": "charge and spin as features, electrostatics",
}
"""What carries what is far, by the name of the model."""
MATRIX_ERRORS = {
    "forces, meV/Å": "forces_rmse_mev_per_angstrom",
    "energy, meV/atom": "energy_rmse_mev_per_atom",
    "charges, me": "charges_rmse_me",
    "spins, mμ_B": "spins_rmse_mmub",
}


def load(name: str) -> Any:
    """Figures of a study; None where it was not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def row(*cells: object) -> str:
    """A row of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*cells: object) -> list[str]:
    """The first two rows."""
    return [row(*cells), "|---|" + "---|" * (len(cells) - 1)]


def short(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def fixed(value: float) -> str:
    """Two decimals, none from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value + 0.0:.2f}".replace("-0.00", "0.00")


def spread(values: list[float]) -> str:
    """Mean and the largest distance from it; `-` for none."""
    if not values:
        return "-"
    middle = mean(values)
    return short(middle) + (f" ± {short(max(abs(v - middle) for v in values))}" if len(values) > 1 else "")


def cumulenes(runs: list[dict[str, Any]]) -> str:
    """Every run."""
    lines = head("", "steps", "seed", "validation, meV", "scan, meV", "barrier, meV", "wrong signs, n = 4 ... 20")
    for run in runs:
        wrong = ", ".join(str(n) for n in run["wrong_signs"]) or "none"
        figures = (f"{run['validation_mev']:.1f}", f"{run['scan_mev']:.1f}", f"{run['barrier_mev']:.0f}")
        lines.append(row(run["variant"], run["steps"], run["seed"], *figures, wrong))
    barrier = runs[0]["reference"][-1] - runs[0]["reference"][0]
    return CUMULENES.format(barrier=f"{barrier:.0f}", rows="\n".join(lines), commands=commands("cumulenes", runs))


def commands(study: str, runs: list[dict[str, Any]]) -> str:
    """That repeat the runs of a study, one for each number of steps and choice of seeds."""
    lines = []
    for names, steps, seeds in alike(runs, "variant"):
        variants = " ".join(f'"{name}"' if " " in name else name for name in names)
        words = f"--variants {variants} --seeds {seeds} --steps {steps}"
        lines.append(f"    python -m tests.benchmarks.nonlocal_study.{study} {words}")
    return "\n".join(lines)


def alike(runs: list[dict[str, Any]], key: str) -> list[tuple[list[str], int, str]]:
    """Names (under `key`) of the same steps and seeds, with these: by steps, then in the order of the runs."""
    seeds: dict[tuple[int, str], list[str]] = {}
    for run in runs:
        seeds.setdefault((run["steps"], run[key]), []).append(str(run["seed"]))
    groups: dict[tuple[int, str], list[str]] = {}
    for (steps, name), found in seeds.items():
        groups.setdefault((steps, " ".join(sorted(found))), []).append(name)
    return [(groups[group], *group) for group in sorted(groups, key=lambda group: group[0])]


def matrix(runs: list[dict[str, Any]]) -> str:
    """Mechanism by set over the seeds, a table for each kind of error that any set has."""
    runs = [r for r in runs if r["preset"] in MECHANISMS]
    sets, known = list(dict.fromkeys(r["set"] for r in runs)), {r["preset"] for r in runs}
    scans, dimers = load("cumulenes") or [], load("lode") or []
    tables: list[str] = []
    for title, key in MATRIX_ERRORS.items():
        lines = head(title, *sets) if tables else head(title, "what is carried", *sets, "cumulene scan", "LODE")
        for name in (n for n in MECHANISMS if n in known):
            cells = [spread(errors_of(runs, of, name, key)) for of in sets]
            if not tables:
                scan = spread([r["scan_mev"] for r in scans if r["variant"] == name and r["steps"] == 3000])
                far = [r["dimers"].values() for r in dimers if (r["variant"], r["steps"]) == (name, 1000)]
                means = spread([mean(d["forces"] for d in found) for found in far])
                cells = [MECHANISMS[name], *cells, scan, means]
            if any(cell != "-" for cell in cells):
                lines.append(row(name, *cells))
        if len(lines) > 2:
            tables.append("\n".join(lines))
    seeds = " ".join(str(s) for s in sorted({r["seed"] for r in runs}))
    presets = ",".join(name for name in MECHANISMS if name in known)
    words = {"steps": runs[0]["equal_steps"], "seeds": seeds, "sets": ",".join(sets), "presets": presets}
    return MATRIX.format(**words, rows="\n\n".join(tables))


def errors_of(runs: list[dict[str, Any]], of: str, preset: str, key: str) -> list[float]:
    """An error on the test frames by seed; none where there is no such label."""
    found = [r["test"].get(key) for r in runs if (r["set"], r["preset"]) == (of, preset)]
    return [value for value in found if value is not None]


def leaving(found: dict[str, Any]) -> str:
    """Errors of the carbenes with and without the frames where an atom has left, over the seeds."""
    keys = ("all", "left", "others", "others_forces")
    lines = head("", "E, all", f"E, the {found['frames']}", "E, others", "F, others")
    for preset, rows in found["presets"].items():
        lines.append(row(preset, *(spread([seed[key] for seed in rows]) for key in keys)))
    words = {**lengths(found), "presets": ",".join(found["presets"])}
    words |= {"frames": found["frames"], "of": found["of"], "widest": f"{found['widest']:.2f}"}
    return LEAVING.format(**words, rows="\n".join(lines))


def lode(runs: list[dict[str, Any]]) -> str:
    """Change of the energy over the far frames, and errors of energy about its mean and of forces, by dimer."""
    names = list(runs[0]["dimers"])
    lines = head("", "steps", "seed", *names)
    for run in runs:
        cells = [f"{d['change']:.0f} / {short(d['shape'])} / {short(d['forces'])}" for d in run["dimers"].values()]
        lines.append(row(run["variant"], run["steps"], run["seed"], *cells))
    true = [f"{d['true_change']:.0f} / - / {short(d['true_forces'])}" for d in runs[0]["dimers"].values()]
    lines.append(row("*reference*", "", "", *true))
    return LODE.format(rows="\n".join(lines), commands=commands("lode", runs))


def chains(found: dict[str, Any]) -> str:
    """Errors of some compositions over the seeds."""
    lines, charges = head("forces, meV/Å", *SHOWN), head("charges, me", *SHOWN)
    for preset, rows in found["presets"].items():
        lines.append(row(preset, *(spread(rows[n]["forces"]) for n in SHOWN)))
        if preset != "local":
            charges.append(row(preset, *(spread(rows[n]["charges"]) for n in SHOWN)))
    return CHAINS.format(**lengths(found), rows="\n".join([*lines, "", *charges]), presets=",".join(found["presets"]))


def lengths(found: dict[str, Any]) -> dict[str, Any]:
    """Steps and seeds of the runs of a study."""
    return {"steps": found["steps"], "seeds": " ".join(map(str, found["seeds"]))}


def apart(found: dict[str, Any]) -> str:
    """Energies of interaction by pair: largest of the seeds for equal fragments, one by one for unlike ones."""
    pairs = list(next(iter(found["presets"].values())))
    lines = head("", *pairs)
    for preset, rows in found["presets"].items():
        cells = []
        for pair in pairs:
            middle = [seed[1] for seed in rows[pair]]
            cells.append(" / ".join(map(fixed, middle)))
        lines.append(row(preset, *cells))
    equal = max(abs(seed[0]) for rows in found["presets"].values() for p in EQUAL for seed in rows[p])
    words = {**lengths(found), "presets": ",".join(found["presets"]), "equal": f"{equal:.2f}"}
    return APART.format(**words, rows="\n".join(lines))


def wetting(found: dict[str, Any]) -> str:
    """Energies, charges and relaxed slabs, a table per set."""
    tables = []
    for name, method in (("aumgo4g", "PBE"), ("au_mgo", "GFN1-xTB")):
        if name in found:
            lines = head(method, "steps, seed", *WETTING_COLUMNS)
            lines.append(_wetting_row(f"*{method}*", "", found[name]["reference"]))
            lines += [_wetting_row(m["preset"], f"{m['steps']}, {m['seed']}", m) for m in found[name]["models"]]
            tables += ["\n".join(lines), ""]
    commands = []
    for name, rows in found.items():
        for presets, steps, seeds in alike(rows["models"], "preset"):
            words = f"--set {name} --presets {','.join(presets)} --seeds {seeds} --steps {steps}"
            commands.append(f"    python -m tests.benchmarks.nonlocal_study.wetting {words}")
    runs = [r for r in load("wetting_trainings") if (r["set"], r["seed"]) == ("aumgo4g", 0)]
    errors = {r["preset"]: r["test"] for r in runs if r["equal_steps"] == 3000}
    keys = list(MATRIX_ERRORS.values())[:3]
    said = {name: " / ".join(short(errors[name][keys[k]]) for k in (1, 0, 2)) for name in ("full", "learned")}
    return WETTING.format(**said, rows="\n".join(tables).rstrip(), commands="\n".join(commands))


WETTING_COLUMNS = ("doped, eV", "undoped, eV", "q(Au) lying, doped", "q(Au) lying, undoped", "relaxed, eV", "angles")


def _wetting_row(name: str, run: str, model: dict[str, Any]) -> str:
    charges = [f"{model['gold'][f'lying {d}']:.3f}" if model["gold"] else "-" for d in ("doped", "undoped")]
    cells = [run, f"{model['doped']:.3f}", f"{model['undoped']:.3f}", *charges]
    if "slabs" not in model:
        return row(name, *cells, "", "")
    relaxed = " / ".join(f"{model[f'relaxed {d}']:.3f}" for d in ("doped", "undoped"))
    angles = ", ".join(f"{place} {slab['tilt']:.0f}°" for place, slab in model["slabs"].items())
    return row(name, *cells, relaxed, angles)


SECTIONS: dict[str, Callable[[Any], str]] = {
    "cumulenes": cumulenes,
    "mechanisms": matrix,
    "leaving": leaving,
    "lode": lode,
    "chains": chains,
    "wetting": wetting,
    "apart": apart,
}
