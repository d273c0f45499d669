"""All mechanisms that a model has, one after the other."""

from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.nonlocal_step.attention import KernelAttention
from charon.model.nonlocal_step.linear_attention import LinearAttention
from charon.model.nonlocal_step.propagator import Propagator
from charon.model.surroundings import Surroundings


class NonLocalStep(nn.Module):
    """Changes the state between two layers by the mechanisms of `config.nonlocal_`; none if it is not `between`."""

    def __init__(self, config: ModelConfig, elements: list[int], between: bool) -> None:
        super().__init__()
        chosen = config.nonlocal_ if between else ()
        self.propagator = Propagator(config, elements, "propagator" in chosen)
        self.attention = KernelAttention(config, "attention" in chosen)
        self.linear_attention = LinearAttention(config.channels, "spooky" in chosen)
        self.exchange_width = self.propagator.exchange_width

    def forward(self, state: Tensor, around: Surroundings) -> Tensor:
        """`state` [n_local, (l_max + 1)^2, channels] -> the new state."""
        state = self.propagator(state, around.types, around.edge_vector, around.edge_index)
        state = self.attention(state, around)
        return self.linear_attention(state, around)
