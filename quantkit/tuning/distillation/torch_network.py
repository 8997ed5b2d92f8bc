"""A network as a function of torch tensors, through which gradients flow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from quantkit.model.graph import Graph
from quantkit.model.param import Layer, Param
from quantkit.model.shape_rule import Shape
from quantkit.model.shapes import blob_shapes
from quantkit.tuning.distillation.layer_call import LayerCall, Tensor
from quantkit.tuning.distillation.operators import OPERATORS, check_operators

WeightSource = Callable[[Layer], Mapping[str, Tensor]]
"""Gives the weight tensors of a layer."""
Reader = Callable[[Layer, Tensor], Tensor]
"""What a layer makes of its first input before it computes with it: quantize it, or nothing."""


def as_it_is(layer: Layer, bottom: Tensor) -> Tensor:
    """Read an input as fp32 layers do."""
    return bottom


@dataclass(frozen=True)
class TorchNetwork:
    """A graph that torch computes, with weights that come from outside.

    Attributes:
        torch: The module.
        param: The graph, without the layers that no output needs.
        shapes: Of its blobs.
        input: Its input blob.
        outputs: Its output blobs.
    """

    torch: Any
    param: Param
    shapes: Mapping[str, Shape]
    input: str
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, torch: Any, param: Param, input: str, shape: Shape, outputs: Sequence[str]) -> Self:
        """Look at a graph.

        Raises:
            InputError: A layer cannot be computed in torch; it is named.
        """
        needed = _needed(param, outputs)
        check_operators(needed)
        return cls(torch, needed, blob_shapes(needed, {input: shape}), input, tuple(outputs))

    def __call__(
        self, batch: Tensor, weights: WeightSource, read: Reader = as_it_is
    ) -> tuple[Tensor, ...]:
        """Compute the outputs of a batch of inputs, shape (crops, channels, height, width)."""
        blobs = {self.input: batch}
        unread = self._readers()
        for layer in self.param.layers:
            if layer.type == "Input":
                continue
            bottoms = [blobs[blob] for blob in layer.bottoms]
            if bottoms:
                bottoms[0] = read(layer, bottoms[0])
            shapes = [self.shapes[blob] for blob in layer.tops]
            call = LayerCall(self.torch, layer, bottoms, weights(layer), shapes)
            blobs |= zip(layer.tops, OPERATORS[layer.type](call), strict=True)
            for blob in layer.bottoms:
                unread[blob] -= 1
                if not unread[blob]:
                    del blobs[blob]
        return tuple(blobs[name] for name in self.outputs)

    def _readers(self) -> dict[str, int]:
        counts = dict.fromkeys(self.outputs, 1)
        for layer in self.param.layers:
            for blob in layer.bottoms:
                counts[blob] = counts.get(blob, 0) + 1
        return counts


def _needed(param: Param, outputs: Sequence[str]) -> Param:
    graph = Graph(param)
    due, found = [graph.producer(blob) for blob in outputs], set[str]()
    while due:
        layer = due.pop()
        if layer.name not in found:
            found.add(layer.name)
            due += [graph.producer(blob) for blob in layer.bottoms]
    return Param(tuple(layer for layer in param.layers if layer.name in found), param.path)
