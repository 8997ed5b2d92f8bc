"""What it takes to compute one layer in torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Shape

Tensor = Any
"""A `torch.Tensor`; torch is optional, so its types are not known here."""


@dataclass(frozen=True)
class LayerCall:
    """A layer and what it reads. All tensors have a batch axis in front of ncnn's axes.

    Attributes:
        torch: The module.
        layer: The layer.
        bottoms: Its inputs.
        weights: Its weight tensors by role, each shaped as the .bin has it: flat.
        shapes: Of its outputs, without the batch axis.
    """

    torch: Any
    layer: Layer
    bottoms: Sequence[Tensor]
    weights: Mapping[str, Tensor]
    shapes: Sequence[Shape]

    @property
    def functional(self) -> Any:
        """The functions of `torch.nn.functional`."""
        return self.torch.nn.functional

    @property
    def bottom(self) -> Tensor:
        """The first input."""
        return self.bottoms[0]

    @property
    def batch(self) -> int:
        """Number of crops."""
        return int(self.bottoms[0].shape[0])

    def axis(self, number: int, default: int = 0) -> int:
        """Read an axis of the first input, with the batch axis counted."""
        rank = self.bottoms[0].dim() - 1
        return 1 + range(rank)[self.layer.int_param(number, default)]


Operator = Callable[[LayerCall], Sequence[Tensor]]
"""From a layer and its inputs to its outputs."""


def one_top(function: Callable[[LayerCall], Tensor]) -> Operator:
    """Make an operator of a function for layers with one output."""
    return lambda call: (function(call),)
