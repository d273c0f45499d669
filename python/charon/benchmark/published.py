"""The sets of Ko et al. 2021, how they are recognized, and the errors that others publish for them."""

from dataclasses import dataclass

QUANTITIES = (("energy per atom", "E", "meV/atom"), ("forces", "F", "meV/A"), ("charges", "q", "me"))
"""Property, as in `charon.metrics`, with its sign and unit in the table; errors are RMSE over the test set."""


@dataclass(frozen=True)
class ReferenceSet:
    """A set of the archive: its name, its title, the formulas (Hill) of its frames, and frames per training step."""

    name: str
    title: str
    formula: str
    batch_size: int


SETS = (
    ReferenceSet("carbon_chain", "C10H2 / C10H3+", r"C10H[23]", 10),
    ReferenceSet("nacl", "Na8/9Cl8+", r"Cl8Na[89]", 10),
    ReferenceSet("ag3", "Ag3+/-", r"Ag3", 20),
    ReferenceSet("au_mgo", "Au2-MgO", r"(Al\d*)?Au2Mg\d+O\d+", 2),
)

Errors = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Peer:
    """Another model: E (meV/atom), F (meV/A) and q (me) by set, and where the figures are from."""

    name: str
    source: str
    errors: dict[str, Errors]
    from_memory: bool = False


KO = "Ko, Finkler, Goedecker, Behler, Nat. Commun. 12, 398 (2021)"
UNKE = "Unke et al., Nat. Commun. 12, 7273 (2021), table 1"

PEERS = (
    Peer(
        "2G-HDNNP",
        f"{KO}, as quoted in {UNKE}",
        {
            "carbon_chain": (1.619, 129.5, None),
            "nacl": (1.692, 57.39, None),
            "ag3": (352.0, 1803.0, None),
            "au_mgo": (2.287, 153.1, None),
        },
    ),
    Peer(
        "4G-HDNNP",
        f"{KO}, as quoted in {UNKE}",
        {
            "carbon_chain": (1.194, 78.0, 6.577),
            "nacl": (0.481, 32.78, 15.83),
            "ag3": (1.323, 31.69, 9.976),
            "au_mgo": (0.219, 66.0, 5.698),
        },
    ),
    Peer(
        "SpookyNet",
        UNKE,
        {
            "carbon_chain": (0.364, 5.802, 0.117),
            "nacl": (0.135, 1.052, 0.111),
            "ag3": (0.220, 26.64, 0.459),
            "au_mgo": (0.107, 5.337, 1.013),
        },
    ),
    Peer(
        "CACE-LR",
        "quoted from memory of its paper",
        {
            "carbon_chain": (0.73, 36.9, None),
            "nacl": (0.21, 9.78, None),
            "ag3": (0.162, 29.0, None),
            "au_mgo": (0.073, 7.91, None),
        },
        from_memory=True,
    ),
)
