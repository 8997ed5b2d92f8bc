"""Channel rules of layers whose weights absorb a factor, and how they absorb it.

y = W x + b becomes (t W / s) x' + t b for x' = s x and y' = t y. Facts: ncnn
src/layer/{convolution,deconvolution,innerproduct,batchnorm,scale,memorydata}.cpp.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.param import Layer
from quantkit.tuning.equalization import clipped_channels
from quantkit.tuning.equalization.channel_rule import Rules, Site, channels, frozen, spread
from quantkit.tuning.equalization.classes import Labels

Factors = NDArray[np.float64]
Values = Mapping[str, Factors]
Fold = Callable[[Layer, Values, Factors, Factors], Values]
"""From a layer, its weights by role and the factors of its bottom's and its top's channels to the
weights that make the same function of the scaled blobs. Both factors have shape (channels,)."""

_PASSING_ACTIVATIONS: Final = (0, 1, 2)
"""None, ReLU and leaky ReLU."""
FUSED_CLIP: Final = 3
_ACTIVATIONS: Final = {4: "Sigmoid", 5: "Mish", 6: "HardSwish", 7: "GELU"}


def _convolution(site: Site) -> Sequence[Labels]:
    layer = site.layer
    if not _floating(site) or len(site.bottoms) > 1:
        return frozen(site, "weights that are not floating point or computed")
    padded = channels(site)
    if layer.float_param(18, 0.0) != 0 and not layer.type.startswith("Deconvolution"):
        site.classes.freeze(padded, "border padded with a value")
    return _made(site, layer.int_param(0, 0), layer.int_param(9, 0))


def _inner_product(site: Site) -> Sequence[Labels]:
    outputs, inputs = site.layer.int_param(0, 0), site.bottoms[0].size
    if not _floating(site) or site.layer.int_param(2, 0) != outputs * inputs:
        return frozen(site, "InnerProduct of rows, or of weights that are not floating point")
    channels(site)
    return _made(site, outputs, site.layer.int_param(9, 0))


def _affine(site: Site) -> Sequence[Labels]:
    if len(site.bottoms) > 1 or not site.weights:
        return frozen(site, "Scale by a computed factor")
    channels(site)
    return _made(site, len(site.bottoms[0]), 0)


def _made(site: Site, count: int, activation: int) -> Sequence[Labels]:
    labels = site.classes.fresh(count)
    if activation == FUSED_CLIP:
        clipped_channels.limit(site, labels, *site.layer.array_param(10))
    elif activation not in _PASSING_ACTIVATIONS:
        kind = _ACTIVATIONS.get(activation, str(activation))
        site.classes.freeze(labels, f"fused activation {kind}")
    return [spread(labels, site.shapes[0])]


def _floating(site: Site) -> bool:
    weight = site.weights.records.get("weight")
    return weight is not None and np.issubdtype(weight.stored.dtype, np.floating)


def _memory_data(site: Site) -> Sequence[Labels]:
    data = site.weights.records.get("data")
    if data is None or not np.issubdtype(data.stored.dtype, np.floating):
        return frozen(site, "MemoryData")
    return [site.classes.fresh(data.stored.size).reshape(site.shapes[0])]


def _fold_convolution(layer: Layer, values: Values, bottom: Factors, top: Factors) -> Values:
    """Both kinds of convolution have (group, outputs, inputs, kernel), the outputs outermost."""
    group = layer.int_param(7, 1) if "DepthWise" in layer.type else 1
    shape = group, len(top) // group, len(bottom) // group, -1
    weight = values["weight"].reshape(shape) / bottom.reshape(group, 1, -1, 1)
    return _biased(values, weight * top.reshape(group, -1, 1, 1), top)


def _fold_inner_product(layer: Layer, values: Values, bottom: Factors, top: Factors) -> Values:
    weight = values["weight"].reshape(len(top), len(bottom)) / bottom
    return _biased(values, weight * top[:, None], top)


def _biased(values: Values, weight: Factors, top: Factors) -> Values:
    bias = {"bias": values["bias"] * top} if "bias" in values else {}
    return {**values, "weight": weight, **bias}


def _fold_batch_norm(layer: Layer, values: Values, bottom: Factors, top: Factors) -> Values:
    changed = {
        "slope": values["slope"] * top / bottom,
        "mean": values["mean"] * bottom,
        "bias": values["bias"] * top,
    }
    return {**values, **changed}


def _fold_scale(layer: Layer, values: Values, bottom: Factors, top: Factors) -> Values:
    bias = {"bias": values["bias"] * top} if "bias" in values else {}
    return {**values, "scale": values["scale"] * top / bottom, **bias}


def _fold_memory_data(layer: Layer, values: Values, bottom: Factors, top: Factors) -> Values:
    return {"data": values["data"] * top}


WEIGHTED_RULES: Final[Rules] = {
    **dict.fromkeys(
        (
            "Convolution",
            "Convolution1D",
            "ConvolutionDepthWise",
            "ConvolutionDepthWise1D",
            "Deconvolution",
            "Deconvolution1D",
            "DeconvolutionDepthWise",
            "DeconvolutionDepthWise1D",
        ),
        _convolution,
    ),
    "BatchNorm": _affine,
    "InnerProduct": _inner_product,
    "MemoryData": _memory_data,
    "Scale": _affine,
}

FOLDS: Final[Mapping[str, Fold]] = {
    **{kind: _fold_convolution for kind, rule in WEIGHTED_RULES.items() if rule is _convolution},
    "BatchNorm": _fold_batch_norm,
    "InnerProduct": _fold_inner_product,
    "MemoryData": _fold_memory_data,
    "Scale": _fold_scale,
}
