"""PaiNN (Schuett et al. 2021) in plain torch, as a yardstick: what TorchScript makes of the usual ops."""

import math

import torch
from torch import Tensor, nn


class PaiNNLayer(nn.Module):
    """Message (eqs. 7 and 8) and update (eqs. 9 and 10)."""

    def __init__(self, channels: int, radial_functions: int) -> None:
        super().__init__()
        self.channels = channels
        self.filters = nn.Linear(radial_functions, 3 * channels)
        self.sent = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels))
        self.mix = nn.Linear(channels, 2 * channels, bias=False)
        self.gates = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels))

    def forward(
        self,
        scalars: Tensor,
        vectors: Tensor,
        radial: Tensor,
        envelope: Tensor,
        unit: Tensor,
        center: Tensor,
        neighbor: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """New `scalars` [n_atoms, channels] and `vectors` [n_atoms, 3, channels]; other shapes as in `PaiNN`."""
        weight = self.filters(radial) * envelope  # [n_edges, 3 channels]
        product = weight * self.sent(scalars).index_select(0, neighbor)
        change, along, carried = torch.split(product, self.channels, dim=1)
        moved = unit.unsqueeze(2) * along.unsqueeze(1) + vectors.index_select(0, neighbor) * carried.unsqueeze(1)
        scalars = scalars.index_add(0, center, change)
        vectors = vectors.index_add(0, center, moved)
        left, right = torch.split(self.mix(vectors), self.channels, dim=2)  # each [n_atoms, 3, channels]
        norm = torch.sqrt((right * right).sum(1) + 1e-8)  # [n_atoms, channels]
        ss, sv, vv = torch.split(self.gates(torch.cat([scalars, norm], dim=1)), self.channels, dim=1)
        return scalars + ss + sv * (left * right).sum(1), vectors + vv.unsqueeze(1) * left


class PaiNN(nn.Module):
    """Energy (eV) and forces (eV/A) of one system whose neighbor list is given."""

    frequencies: Tensor

    def __init__(self, n_elements: int, channels: int = 64, layers: int = 3, cutoff: float = 5.0) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("frequencies", math.pi / cutoff * torch.arange(1, 21))
        self.embedding = nn.Embedding(n_elements, channels)
        self.layers = nn.ModuleList(PaiNNLayer(channels, 20) for _ in range(layers))
        self.readout = nn.Sequential(nn.Linear(channels, channels // 2), nn.SiLU(), nn.Linear(channels // 2, 1))

    def energy(self, types: Tensor, edge_index: Tensor, edge_vector: Tensor) -> Tensor:
        """Energy [], eV."""
        center, neighbor = edge_index[0], edge_index[1]
        length = torch.sqrt((edge_vector * edge_vector).sum(1, keepdim=True))  # [n_edges, 1]
        radial = torch.sin(length * self.frequencies) / length  # [n_edges, 20]
        envelope = 0.5 * (torch.cos(math.pi / self.cutoff * length) + 1.0)  # [n_edges, 1]
        scalars = self.embedding(types)  # [n_atoms, channels]
        vectors = torch.zeros((scalars.size(0), 3, scalars.size(1)), dtype=scalars.dtype)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, radial, envelope, edge_vector / length, center, neighbor)
        return self.readout(scalars).sum()

    def forward(self, types: Tensor, edge_index: Tensor, edge_vector: Tensor) -> tuple[Tensor, Tensor]:
        """Energy [], forces [n_atoms, 3]; `types` [n_atoms], `edge_index` [2, n_edges], `edge_vector` [n_edges, 3]."""
        edge_vector = edge_vector.detach().requires_grad_(True)
        energy = self.energy(types, edge_index, edge_vector)
        gradient = torch.autograd.grad([energy], [edge_vector])[0]
        assert gradient is not None
        forces = torch.zeros((types.size(0), 3), dtype=gradient.dtype)
        forces = forces.index_add(0, edge_index[0], gradient).index_add(0, edge_index[1], -gradient)
        return energy.detach(), forces


def scripted_painn(n_elements: int, seed: int = 0) -> torch.jit.ScriptModule:
    """64 channels, 3 layers, random weights, float32, as TorchScript."""
    torch.manual_seed(seed)
    model = PaiNN(n_elements).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return torch.jit.script(model)
