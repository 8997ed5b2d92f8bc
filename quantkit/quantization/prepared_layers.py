"""Which layers of a network were prepared for a table: other weights, the same function of them."""

from typing import Final

import numpy as np

from quantkit.errors import InputError
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.model.feature_mask import FEATURE_MASK
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.vector_convolutions import inner_product
from quantkit.model.weights import LayerWeights

IN_CODES: Final = "_in_codes"
"""How the names of the layers end that give another layer its input in codes."""


def changed_layers(network: Network, prepared: Network) -> tuple[Layer, ...]:
    """Find the layers whose weights or biases differ.

    Args:
        network: The network as it was.
        prepared: The same graph, but that channel shuffles may be one layer. Layers may have other
            weights, biases that they had not and other feature masks, and a 1x1 Convolution may be
            an InnerProduct.

    Returns:
        The layers as they were, in the order of the .param.

    Raises:
        InputError: The graphs differ in more than that; the layer is named.
    """
    network, prepared = with_joined_shuffles(network), with_joined_shuffles(prepared)
    names = [layer.name for layer in network.param.layers]
    if names != [layer.name for layer in prepared.param.layers]:
        message = "the table's network has other layers than the exported one; "
        formed = any(layer.name.endswith(IN_CODES) for layer in prepared.param.layers)
        message += (
            "scales of channels and zero points (--forms) go into ncnn alone so far"
            if formed
            else "calibrate again"
        )
        raise InputError(message)
    pairs = zip(network.param.layers, prepared.param.layers, strict=True)
    for before, after in pairs:
        if not _alike(before, after):
            message = (
                f"layer '{before.name}' of the table's network is another {after.type} than in the "
                "exported one; calibrate again"
            )
            raise InputError(message)
    return tuple(
        layer
        for layer in network.param.layers
        if not same_weights(network.weights.get(layer.name), prepared.weights.get(layer.name))
    )


def same_weights(one: LayerWeights | None, other: LayerWeights | None) -> bool:
    """Say whether two layers hold the same values; None is a layer without any."""
    if one is None or other is None:
        return one is other
    return set(one) == set(other) and all(
        np.array_equal(values, other[role]) for role, values in one.items()
    )


def _alike(before: Layer, after: Layer) -> bool:
    if (before.bottoms, before.tops) != (after.bottoms, after.tops):
        return False
    if (before.type, after.type) == ("Convolution", "InnerProduct"):
        before = inner_product(before)
    bias = _bias_term(before)
    return before.type == after.type and _compared(before, bias) == _compared(after, bias)


def _bias_term(layer: Layer) -> int | None:
    if layer.type == "InnerProduct":
        return 1
    return 5 if "onvolution" in layer.type else None


def _compared(layer: Layer, bias: int | None) -> dict[int, str]:
    return {key: one for key, one in layer.params.items() if key not in (bias, FEATURE_MASK)}
