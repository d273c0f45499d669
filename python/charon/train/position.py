"""Where a training stands."""

import math
from dataclasses import dataclass, field


@dataclass
class Position:
    """Where a training stands; part of the checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    planned: int = 1
    minutes: float = 0.0
    best_score: float = math.inf
    best_epoch: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def mean_terms(self) -> dict[str, float]:
        """Mean of each loss term over the present epoch."""
        return {term: self.sums[term] / self.counts[term] for term in self.sums}
