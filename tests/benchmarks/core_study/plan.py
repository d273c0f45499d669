"""The jobs: every candidate on every set, and what is changed about the best on `acac`."""

from form import Form
from trainer import Job, Member

SEEDS = (Member(0), Member(1), Member(0, decay=0.1))
CORES = ("painn", "D1", "D2", "D2s", "D2a", "lin")


def long_jobs() -> list[Job]:
    """32 channels, 10,000 steps: for data with 150 frames held out."""
    one = (Member(0),)
    forms = {
        "D2": Form("D2", 32),
        "D2c": Form("D2c", 32),
        "lin": Form("lin", 32),
        "D2 3 layers": Form("D2", 32, layers=3),
        "D2 bessel5 3 layers": Form("D2", 32, layers=3, radial="bessel5"),
        "D2c bessel5": Form("D2c", 32, radial="bessel5"),
    }
    forms |= {f"D2 {kind}": Form("D2", 32, radial=kind) for kind in ("bessel5", "bessel4", "warp6", "warp4", "mlp")}
    recipe = {f"D2 lr {lr:g}": Member(0, lr=lr) for lr in (2e-3, 1e-2, 2e-2)}
    recipe |= {f"D2 decay {decay:g}": Member(0, decay=decay) for decay in (0.05, 0.1)}
    jobs = [Job(f"long {name}", "acac", form, one, steps=10000) for name, form in forms.items()]
    jobs += [Job(f"long {name}", "acac", forms["D2"], (member,), steps=10000) for name, member in recipe.items()]
    slow = Job("long D2 bessel5 lr 0.002", "acac", forms["D2 bessel5"], (Member(0, lr=2e-3),), steps=10000)
    return [*jobs, slow, Job("long D2 batch 2", "acac", forms["D2"], one, batch=2, steps=10000)]


def plan(group: str) -> list[Job]:
    """Jobs of a group.

    `acac` (cores and ablations), `acac32`, `acac64`, `long`, `dipeptides`, `rest` (water, carbenes).
    """
    if group == "long":
        return long_jobs()
    if group == "acac":
        jobs = [Job(f"acac {core}", "acac", Form(core), SEEDS) for core in CORES]
        changes = {
            "bessel6": Form(radial="bessel6"),
            "bessel16": Form(radial="bessel16"),
            "warp8": Form(radial="warp8"),
            "mlp": Form(radial="mlp"),
            "free": Form(radial="free"),
            "3 layers": Form(layers=3),
            "32 channels": Form(channels=32),
            "128 channels": Form(channels=128),
            "pairs": Form(pairs=True),
        }
        jobs += [Job(f"acac D2 {name}", "acac", form) for name, form in changes.items()]
        jobs.append(Job("acac D2 batch 16", "acac", batch=16))
        jobs.append(Job("acac D2 adam", "acac", muon=False, members=(Member(0), Member(1), Member(0, lr=2e-3))))
        recipe = (
            Member(0, lr=2e-3),
            Member(0, lr=1e-2),
            Member(0, decay=0.03),
            Member(0, decay=0.3),
            Member(0, decay=1.0),
            Member(0, energy_weight=0.3),
            Member(0, energy_weight=20.0),
        )
        return [*jobs, Job("acac D2 recipe", "acac", members=recipe)]
    if group == "acac32":
        forms = {core: Form(core, 32) for core in CORES}
        forms |= {
            "D2a pairs": Form("D2a", 32, pairs=True),
            "D2a warp8": Form("D2a", 32, radial="warp8"),
            "D2a mlp": Form("D2a", 32, radial="mlp"),
            "D2a 3 layers": Form("D2a", 32, layers=3),
            "lin pairs": Form("lin", 32, pairs=True),
        }
        jobs = [Job(f"acac32 {name}", "acac", form, (Member(0),), steps=7000) for name, form in forms.items()]
        more = {"D2a seed 1": Member(1), "D2a decay": Member(0, decay=0.02)}
        return jobs + [Job(f"acac32 {n}", "acac", Form("D2a", 32), (m,), steps=7000) for n, m in more.items()]
    if group == "acac64":
        forms = {core: Form(core) for core in ("D1", "D2", "D2a")} | {"D2a pairs": Form("D2a", pairs=True)}
        return [Job(f"acac64 {name}", "acac", form, steps=7000) for name, form in forms.items()]
    one = (Member(0),)
    if group == "dipeptides":
        return [Job(f"{group} {core}", group, Form(core), one, steps=4000) for core in CORES if core != "D2s"]
    jobs = [Job(f"water {c}", "water", Form(c), one, batch=1, steps=2000) for c in ("D1", "D2", "D2a")]
    return jobs + [
        Job(f"carbenes {c}", "carbenes", Form(c), one, 16, 4000) for c in ("painn", "D1", "D2", "D2a", "lin")
    ]
