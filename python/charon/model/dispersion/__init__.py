from typing import Literal
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class DispersionConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["d3", "d4"] = "d4"


class Dispersion(nn.Module):
    def __init__(self, elements: list[int], cutoff: float, config: DispersionConfig):
        super().__init__()

    def forward(self, types: Tensor, edge_index: Tensor, edge_vector: Tensor, positions: Tensor, cell: Tensor, pbc: Tensor, batch: Tensor, charges: Tensor) -> Tensor:
        return torch.zeros_like(charges)
