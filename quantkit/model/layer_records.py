"""Which weight records the .bin holds for a layer, as a function of its parameters.

Facts: load_param and load_model of each layer in ncnn src/layer/*.cpp.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from quantkit.model.param import Layer

_MOST = 2**31 - 1


@dataclass(frozen=True)
class RecordSpec:
    """One array in the .bin.

    Args:
        name: Its role in the layer, such as `weight`.
        count: Number of elements.
        tagged: Whether a storage tag (fp32, fp16, int8) stands before it; if not it is fp32.
    """

    name: str
    count: int
    tagged: bool = False


Specs = tuple[RecordSpec, ...]


def record_specs(layer: Layer) -> Specs:
    """List the records of a layer in the order of the .bin; empty for a layer without weights.

    Raises:
        InputError: A parameter that says how many elements there are makes no sense.

    Example:
        >>> layer = Layer("InnerProduct", "fc", ("a",), ("b",), {0: "10", 1: "1", 2: "640"})
        >>> [(spec.name, spec.count) for spec in record_specs(layer)]
        [('weight', 640), ('bias', 10)]
    """
    specs = _FAMILIES[layer.type](layer) if layer.type in _FAMILIES else ()
    for spec in specs:
        if not 0 < spec.count <= _MOST:
            message = f"its parameters ask for {spec.count} elements of '{spec.name}'"
            raise layer.error(message)
    return specs


def _divided(layer: Layer, number: int, by: int) -> int:
    """Read a count that must be a positive multiple of another one."""
    count = layer.int_param(number, 0)
    if by <= 0 or count <= 0 or count % by:
        message = f"parameter {number}={count} must be a positive multiple of {by}"
        raise layer.error(message)
    return count


def _convolution(layer: Layer) -> Specs:
    if layer.int_param(19, 0):
        return ()
    outputs = layer.int_param(0, 0)
    grouped = layer.type.startswith("ConvolutionDepthWise")
    if grouped:
        _divided(layer, 0, layer.int_param(7, 1))
    term = layer.int_param(8, 0) if layer.type in ("Convolution", "ConvolutionDepthWise") else 0
    scales = (layer.int_param(7, 1) if term in (1, 101) else 1) if grouped else outputs
    return (
        RecordSpec("weight", _divided(layer, 6, outputs), tagged=True),
        *_optional("bias", outputs, layer.int_param(5, 0)),
        *_optional("weight_scales", scales, term),
        *_optional("bottom_scale", 1, term),
        *_optional("top_scale", 1, term > 100),
    )


def _deconvolution(layer: Layer) -> Specs:
    if layer.int_param(28, 0):
        return ()
    return _weight_and_bias(layer, layer.int_param(5, 0), layer.int_param(6, 0))


def _deformable(layer: Layer) -> Specs:
    return _weight_and_bias(layer, layer.int_param(5, 0), layer.int_param(6, 0))


def _inner_product(layer: Layer) -> Specs:
    outputs, term = layer.int_param(0, 0), layer.int_param(8, 0)
    return (
        RecordSpec("weight", _divided(layer, 2, outputs), tagged=True),
        *_optional("bias", outputs, layer.int_param(1, 0)),
        *_optional("weight_scales", outputs, term),
        *_optional("bottom_scale", 1, term),
    )


def _embed(layer: Layer) -> Specs:
    scale = _optional("weight_scales", 1, layer.int_param(18, 0))
    return _weight_and_bias(layer, layer.int_param(2, 0), layer.int_param(3, 0)) + scale


def _weight_and_bias(layer: Layer, bias: int, count: int) -> Specs:
    weight = RecordSpec("weight", count, tagged=True)
    return (weight, *_optional("bias", layer.int_param(0, 0), bias))


def _optional(name: str, count: int, present: int) -> Specs:
    return (RecordSpec(name, count),) if present else ()


def _batch_norm(layer: Layer) -> Specs:
    return _untagged(layer.int_param(0, 0), "slope", "mean", "variance", "bias")


def _untagged(count: int, *names: str) -> Specs:
    return tuple(RecordSpec(name, count) for name in names)


def _affine(count: int, affine: int, *names: str) -> Callable[[Layer], Specs]:
    def specs(layer: Layer) -> Specs:
        return _untagged(layer.int_param(count, 0), *names) if layer.int_param(affine, 1) else ()

    return specs


def _single(name: str, number: int, default: int = 0) -> Callable[[Layer], Specs]:
    return lambda layer: _untagged(layer.int_param(number, default), name)


def _scale(layer: Layer) -> Specs:
    count = layer.int_param(0, 0)
    if count == -233:
        return ()
    return (RecordSpec("scale", count), *_optional("bias", count, layer.int_param(1, 0)))


def _padding(layer: Layer) -> Specs:
    count = layer.int_param(6, 0)
    return _optional("padding", count, count)


def _dequantize(layer: Layer) -> Specs:
    bias = layer.int_param(1, 0)
    return (RecordSpec("scale", layer.int_param(0, 1)), *_optional("bias", bias, bias))


def _requantize(layer: Layer) -> Specs:
    bias = layer.int_param(2, 0)
    return (
        RecordSpec("scale_in", layer.int_param(0, 1)),
        RecordSpec("scale_out", layer.int_param(1, 1)),
        *_optional("bias", bias, bias),
    )


def _memory_data(layer: Layer) -> Specs:
    width, height, channels, depth = (layer.int_param(i, 0) for i in (0, 1, 2, 11))
    if width == height == channels == depth == 0:
        return ()
    count = 1
    for size in (width, height or 1, channels or 1, depth or 1):
        count *= size
    return (RecordSpec("data", count, tagged=layer.int_param(21, 1) == 0),)


def _recurrent(gates: int, biases: int) -> Callable[[Layer], Specs]:
    def specs(layer: Layer) -> Specs:
        outputs, directions = layer.int_param(0, 0), 2 if layer.int_param(2, 0) == 2 else 1
        hidden = layer.int_param(3, outputs) if layer.type == "LSTM" else outputs
        rows = hidden * gates * directions
        term = layer.int_param(8, 0)
        projected = hidden * outputs * directions if hidden != outputs else 0
        return (
            RecordSpec("weight_input", _divided(layer, 1, rows), tagged=True),
            RecordSpec("bias", hidden * biases * directions, tagged=True),
            RecordSpec("weight_hidden", outputs * rows, tagged=True),
            *((RecordSpec("weight_projection", projected, tagged=True),) if projected else ()),
            *_optional("weight_input_scales", rows, term),
            *_optional("weight_hidden_scales", rows, term),
        )

    return specs


def _gemm(layer: Layer) -> Specs:
    term = _plain_term(layer)
    m, n, k = (layer.int_param(i, 0) for i in (7, 8, 9))
    broadcast = layer.int_param(10, 0)
    bias = {0: 1, 1: m, 2: m, 3: m * n, 4: n}.get(broadcast, 0)
    fixed_a, fixed_b, fixed_c = (layer.int_param(i, 0) == 1 for i in (4, 5, 6))
    return (
        *((RecordSpec("a", m * k, tagged=True),) if fixed_a else ()),
        *((RecordSpec("b", k * n, tagged=True),) if fixed_b else ()),
        *((RecordSpec("c", bias, tagged=True),) if fixed_c and broadcast != -1 else ()),
        *_optional("a_scales", m, term and fixed_a),
        *_optional("b_scale", 1, term and fixed_b),
    )


def _attention(layer: Layer) -> Specs:
    term = _plain_term(layer)
    width = layer.int_param(0, 0)
    query = _divided(layer, 2, width) // width
    sizes = {"q": query, "k": layer.int_param(3, width), "v": layer.int_param(4, width)}
    inputs = (
        spec
        for name, size in sizes.items()
        for spec in (
            RecordSpec(f"{name}_weight", width * size, tagged=True),
            RecordSpec(f"{name}_bias", width),
        )
    )
    return (
        *inputs,
        RecordSpec("out_weight", query * width, tagged=True),
        RecordSpec("out_bias", query),
        *(_untagged(width, "q_scales", "k_scales", "v_scales") if term else ()),
        *_optional("out_scale", 1, term),
    )


def _plain_term(layer: Layer) -> int:
    term = layer.int_param(18, 0)
    if term >= 400:
        message = f"block-quantized weights (18={term}) cannot be read; give it in fp32"
        raise layer.error(message)
    return term


_FAMILIES: Final[Mapping[str, Callable[[Layer], Specs]]] = {
    **dict.fromkeys(
        (
            "Convolution",
            "Convolution1D",
            "Convolution3D",
            "ConvolutionDepthWise",
            "ConvolutionDepthWise1D",
            "ConvolutionDepthWise3D",
        ),
        _convolution,
    ),
    **dict.fromkeys(
        (
            "Deconvolution",
            "Deconvolution1D",
            "Deconvolution3D",
            "DeconvolutionDepthWise",
            "DeconvolutionDepthWise1D",
            "DeconvolutionDepthWise3D",
        ),
        _deconvolution,
    ),
    "DeformableConv2D": _deformable,
    "InnerProduct": _inner_product,
    "Embed": _embed,
    "BatchNorm": _batch_norm,
    "Bias": _single("bias", 0),
    "PReLU": _single("slope", 0),
    "Normalize": _single("scale", 3),
    "Quantize": _single("scale", 0, 1),
    "Dequantize": _dequantize,
    "Requantize": _requantize,
    "Scale": _scale,
    "Padding": _padding,
    "MemoryData": _memory_data,
    "InstanceNorm": _affine(0, 2, "gamma", "beta"),
    "GroupNorm": _affine(1, 3, "gamma", "beta"),
    "LayerNorm": _affine(0, 2, "gamma", "beta"),
    "RMSNorm": _affine(0, 2, "gamma"),
    "RNN": _recurrent(1, 1),
    "GRU": _recurrent(3, 4),
    "LSTM": _recurrent(4, 4),
    "Gemm": _gemm,
    "MultiHeadAttention": _attention,
}
