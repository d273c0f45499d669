"""The jobs: every candidate on every set, and what is changed about the best on `acac`."""

from form import Form
from trainer import Job, Member

SEEDS = (Member(0), Member(1), Member(0, decay=0.1))
CORES = ("painn", "D1", "D2", "D2s", "D2a", "lin")


def plan(group: str) -> list[Job]:
    """Jobs of a group: `acac` (cores and ablations), `acac32`, `acac64`, `dipeptides`, `rest` (water, carbenes)."""
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
