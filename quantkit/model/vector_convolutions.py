"""A hazard taken out of a network: 1x1 convolutions of a 1-D blob become inner products.

In int8 ncnn runs such a convolution, as in squeeze-excite, over an image of one channel, which is
wrong or crashes. In fp32 it makes an InnerProduct of it while it runs, with the same weights, and
asks on stderr for just this rewrite (src/layer/convolution.cpp); sums may differ in the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from quantkit.model.eligibility import INT8_TERM
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.param_tokens import parameter_id

_FROM_CONVOLUTION: Final[Mapping[int, int]] = {0: 0, 5: 1, 6: 2, 9: 9, 10: 10}
"""Outputs, bias, weight count and the fused activation: the id here by the id there."""


@dataclass(frozen=True)
class Rewritten:
    """A network that computes the same with other layers.

    Attributes:
        network: The network; layers keep their names, blobs and weights.
        layers: Names of the layers that are of another type now.
    """

    network: Network
    layers: tuple[str, ...]


def as_inner_products(network: Network, shapes: Mapping[str, Sequence[int]]) -> Rewritten:
    """Make an InnerProduct of each 1x1 Convolution that reads a 1-D blob.

    Args:
        network: The fp32 network. It shares its weights with the result.
        shapes: Shape by blob name, without a batch axis, as from `blob_shapes`.
    """
    changed = {
        layer.name: inner_product(layer)
        for layer in network.param.layers
        if _is_vector_convolution(layer) and len(shapes[layer.bottoms[0]]) == 1
    }
    return Rewritten(network.replaced(changed, {}), tuple(changed))


def _is_vector_convolution(layer: Layer) -> bool:
    if layer.type != "Convolution" or layer.int_param(19, 0) or layer.int_param(INT8_TERM, 0):
        return False
    width = layer.int_param(1, 0)
    return (width, layer.int_param(11, width)) == (1, 1)


def inner_product(layer: Layer) -> Layer:
    """Make the InnerProduct of a 1x1 Convolution; it computes the same of a vector."""
    kept: dict[int, str] = {}
    for key, value in layer.params.items():
        number = parameter_id(key)
        if number in _FROM_CONVOLUTION:
            # An array's key is -23300 - id in the older writing.
            kept[_FROM_CONVOLUTION[number] if key >= 0 else key] = value
    return replace(layer, type="InnerProduct", params=kept)
