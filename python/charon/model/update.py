"""Products of irreps on each atom: body order beyond pairs, without a tensor product on any edge."""

import torch
from torch import Tensor, nn

from charon.model.tensors import tensor_basis, to_matrix, traceless_part
from charon.ops import has_kernels, update


class ChannelMix(nn.Module):
    """Mixes channels of a directional state, the same way for each component; no bias, so it stays equivariant."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)

    def forward(self, state: Tensor) -> Tensor:
        """[n, components, inputs] -> [n, components, outputs]."""
        return torch.matmul(state, self.weight)


def soft_limit(state: Tensor, squared_norm: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Scales `state` by 1 / sqrt(1 + |state|^2 / bound) per channel, so that products keep light tails.

    Returns the scaled state and its squared norm, `[n, channels]`.
    """
    factor = torch.rsqrt(1.0 + squared_norm / bound)  # [n, channels]
    return state * factor.unsqueeze(1), squared_norm * factor * factor


class Gates(nn.Module):
    """From invariants of an atom: the change of its scalars and the gates of its directional products."""

    def __init__(self, n_invariants: int, n_gates: int, n_elements: int, channels: int) -> None:
        super().__init__()
        self.channels, self.n_gates = channels, n_gates
        self.element_scale = nn.Parameter(1.0 + 0.1 * torch.randn(n_elements, n_invariants * channels))
        self.element_gate = nn.Parameter(torch.randn(n_elements, n_gates, channels))
        self.hidden = nn.Linear(n_invariants * channels, 2 * channels)
        self.out = nn.Linear(2 * channels, (1 + n_gates) * channels)
        self.linear = nn.Linear(n_invariants * channels, channels, bias=False)

    def weights(self, vector_in: Tensor, vector_out: Tensor) -> list[Tensor]:
        """Those of an update in the order of the kernel, but for the matrices of tensors."""
        hidden = torch.cat([self.hidden.weight, self.linear.weight]).t()  # [invariants channels, 3 channels]
        hidden_bias = torch.nn.functional.pad(self.hidden.bias, [0, self.channels])  # [3 channels]
        element_gate = self.element_gate.flatten(1)  # [n_elements, gates channels]
        return [
            vector_in,
            hidden,
            self.out.weight.t(),
            vector_out,
            hidden_bias,
            self.out.bias,
            self.element_scale,
            element_gate,
        ]

    def forward(self, invariants: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """`invariants` [n, n_invariants channels] -> change of scalars [n, channels], gates [n, n_gates, channels]."""
        scaled = invariants * self.element_scale[types]
        gates = self.out(torch.nn.functional.silu(self.hidden(scaled)))
        gates = gates.reshape(types.size(0), 1 + self.n_gates, self.channels)
        return gates[:, 0] + self.linear(scaled), gates[:, 1:] + self.element_gate[types]


class VectorUpdate(nn.Module):
    """Update of scalars and vectors (l_max 1) from the messages and the atom's own vectors."""

    def __init__(self, channels: int, n_elements: int) -> None:
        super().__init__()
        self.left, self.right = ChannelMix(2 * channels, channels), ChannelMix(2 * channels, channels)
        self.gates = Gates(4, 2, n_elements, channels)
        self.out = ChannelMix(2 * channels, channels)

    def weights(self) -> list[Tensor]:
        """In the order of the kernel, matrices as [inputs, outputs]."""
        vector_in = torch.cat([self.left.weight, self.right.weight], dim=1)  # [2 channels, 2 channels]
        return self.gates.weights(vector_in, self.out.weight)

    def forward(self, state: Tensor, message: Tensor, types: Tensor) -> Tensor:
        """`state`, `message` [n, 4, channels] -> new state [n, 4, channels]."""
        if has_kernels(state):
            return update(state, message, types, self.weights(), 1)
        both = torch.cat([message[:, 1:], state[:, 1:]], dim=2)  # [n, 3, 2 channels]
        left, right = self.left(both), self.right(both)
        left, left_square = soft_limit(left, (left * left).sum(1), 12.0)
        right, _ = soft_limit(right, (right * right).sum(1), 12.0)
        cross = (left * right).sum(1)  # [n, channels]
        invariants = torch.cat([state[:, 0], message[:, 0], left_square / 3.0, cross / 3.0], dim=1)
        change, gate = self.gates(invariants, types)
        vectors = self.out(torch.cat([left * gate[:, :1], right * gate[:, 1:]], dim=2))
        return state + torch.cat([change.unsqueeze(1), vectors], dim=1)


class TensorUpdate(nn.Module):
    """Update of scalars, vectors and tensors (l_max 2) by the products a.a, b:b, b.a, (aa)0 and (bb)0."""

    basis: list[float]

    def __init__(self, channels: int, n_elements: int) -> None:
        super().__init__()
        self.vector_in, self.tensor_in = (
            ChannelMix(2 * channels, channels),
            ChannelMix(2 * channels, channels),
        )
        self.gates = Gates(7, 5, n_elements, channels)
        self.vector_out, self.tensor_out = (
            ChannelMix(2 * channels, channels),
            ChannelMix(3 * channels, channels),
        )
        self.basis = tensor_basis().flatten().tolist()  # no buffer: it is exact in whatever precision the model has

    def weights(self) -> list[Tensor]:
        """In the order of the kernel, matrices as [inputs, outputs]."""
        found = self.gates.weights(self.vector_in.weight, self.vector_out.weight)
        return found + [self.tensor_in.weight, self.tensor_out.weight]

    def forward(self, state: Tensor, message: Tensor, types: Tensor) -> Tensor:
        """`state`, `message` [n, 9, channels] -> new state [n, 9, channels]."""
        if has_kernels(state):
            return update(state, message, types, self.weights(), 2)
        basis = torch.tensor(self.basis, dtype=state.dtype, device=state.device).reshape(5, 3, 3)
        a = self.vector_in(torch.cat([message[:, 1:4], state[:, 1:4]], dim=2))  # [n, 3, channels]
        b = self.tensor_in(torch.cat([message[:, 4:], state[:, 4:]], dim=2))  # [n, 5, channels]
        a, a_square = soft_limit(a, (a * a).sum(1), 12.0)
        b, b_square = soft_limit(b, (b * b).sum(1), 20.0)
        matrix = to_matrix(b, basis)  # [n, 3, 3, channels]
        ba = (matrix * a.unsqueeze(1)).sum(2)  # [n, 3, channels]
        aa = traceless_part(a.unsqueeze(2) * a.unsqueeze(1), basis)  # [n, 5, channels]
        bb = traceless_part((matrix.unsqueeze(3) * matrix.unsqueeze(1)).sum(2), basis)  # [n, 5, channels]
        invariants = torch.cat(
            [
                state[:, 0],
                message[:, 0],
                a_square / 3.0,
                b_square / 5.0,
                (a * ba).sum(1) / 4.0,
                (b * bb).sum(1) / 5.0,
                (ba * ba).sum(1) / 8.0,
            ],
            dim=1,
        )
        change, gate = self.gates(invariants, types)
        vectors = self.vector_out(torch.cat([a * gate[:, 0:1], ba * gate[:, 1:2]], dim=2))
        tensors = self.tensor_out(torch.cat([b * gate[:, 2:3], aa * gate[:, 3:4], bb * gate[:, 4:5]], dim=2))
        return state + torch.cat([change.unsqueeze(1), vectors, tensors], dim=1)
