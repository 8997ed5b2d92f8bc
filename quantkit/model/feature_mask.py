"""Options of ncnn that are switched off for a single layer. Source: ncnn src/net.cpp."""

from typing import Final

from quantkit.model.layer import Layer

FEATURE_MASK: Final = 31
"""The parameter whose bits switch options off; it changes no weights."""

_NO_WINOGRAD: Final = "64"


def without_winograd(layer: Layer) -> Layer:
    """Switch Winograd's method off for a convolution.

    Example:
        >>> without_winograd(Layer("Convolution", "c", ("a",), ("b",), {1: "3"})).params
        {1: '3', 31: '64'}
    """
    return layer.with_params({FEATURE_MASK: _NO_WINOGRAD})
