"""Which layers ncnn can run in int8, and which of them come out wrong when it does."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.weights import INT8_TAG

INT8_TYPES: Final = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
INT8_TERM: Final = 8
"""The parameter that says how a layer of these types is quantized; 0 is not at all."""


def int8_layers(network: Network) -> tuple[Layer, ...]:
    """List the layers that ncnn2table puts into its table, in the order of the .param.

    Layers whose weights are computed by other layers have none to quantize and are left out.
    """
    return tuple(
        layer for layer in network.param.layers if layer.type in INT8_TYPES and not _dynamic(layer)
    )


def fp32_only(network: Network) -> dict[str, str]:
    """Name the layers that hold weights of a matrix and are never int8, each with the reason.

    Their share of the weights says what an int8 network cannot save.
    """
    total = sum(_elements(network, layer) for layer in network.param.layers)
    return {
        layer.name: f"quantkit leaves layers of type {layer.type} in fp32; it holds "
        f"{100 * _elements(network, layer) / total:.1f} % of the weights"
        for layer in network.param.layers
        if layer.type.startswith(_MATRIX_TYPES) and layer.type not in INT8_TYPES
        if layer.name in network.weights
    }


def more_in_ncnn2int8(network: Network) -> str | None:
    """Say which of these layers ncnn2int8 makes int8 whatever a table says, if there are any.

    Source: ncnn tools/quantize/ncnn2int8.cpp, quantize_gemm and quantize_sdpa.
    """
    counts = Counter(x.type for x in network.param.layers if x.type in ("Gemm", "SDPA"))
    if not counts:
        return None
    several = sum(counts.values()) > 1
    types = " and ".join(f"{count} {kind}" for kind, count in counts.items())
    return (
        f"ncnn2int8 also quantizes the {types} layer{'s' if several else ''}, "
        f"which quantkit leaves in fp32"
    )


def _elements(network: Network, layer: Layer) -> int:
    weights = network.weights.get(layer.name)
    return 0 if weights is None else sum(x.stored.size for x in weights.records.values())


def quantized_layers(network: Network) -> tuple[str, ...]:
    """Name the layers of a written network that run in int8."""
    return tuple(
        layer.name
        for layer in network.param.layers
        if layer.type in INT8_TYPES and layer.int_param(INT8_TERM, 0)
    )


_TERMS: Final = {
    **dict.fromkeys((*INT8_TYPES, "RNN", "LSTM", "GRU"), INT8_TERM),
    **dict.fromkeys(("Gemm", "MultiHeadAttention", "SDPA", "Embed"), 18),
}
_RESCALING: Final = ("Quantize", "Dequantize", "Requantize")
_MATRIX_TYPES: Final = (
    *("Convolution", "Deconvolution", "DeformableConv2D"),
    *("Gemm", "MultiHeadAttention", "Embed", "LSTM", "GRU", "RNN"),
)
"""How the names of the types begin whose weights are more than one number a channel."""
_NAMED: Final = 3


def runs_int8(layers: Iterable[Layer]) -> bool:
    """Tell whether any layer of a network computes in int8 or hands int8 on."""
    return any(
        layer.type in _RESCALING or layer.int_param(_TERMS.get(layer.type, -1), 0)
        for layer in layers
    )


def refuse_int8(network: Network) -> None:
    """Refuse a network that has been quantized where an fp32 one is needed.

    Raises:
        InputError: A layer computes in int8, or its weights are stored so; the first are named.
    """
    done = [layer.name for layer in network.param.layers if _is_int8(network, layer)]
    if done:
        message = (
            f"is int8 already ({_listed(done)}); give the fp32 network that it was made of "
            "('quantkit eval --backend ncnn' evaluates it as it is)"
        )
        raise InputError(message, path=network.param.path)


def require_quantizable(network: Network, reasons: Mapping[str, str] | None = None) -> None:
    """Refuse a network that has been quantized, and one in which nothing can be.

    Args:
        network: The network.
        reasons: Layers that must stay in fp32 although their type could be int8, each with why.

    Raises:
        InputError: It is either; the layers or their types are named.
    """
    refuse_int8(network)
    eligible = [layer.name for layer in int8_layers(network)]
    if not set(eligible) - set(reasons or {}):
        message = "no layer of this network can be int8: "
        if eligible and reasons:
            message += f"layers {_listed(eligible)} must stay in fp32: {reasons[eligible[0]]}"
        else:
            counts = Counter(x.type for x in network.param.layers if x.name in network.weights)
            held = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
            *first, last = INT8_TYPES
            message += f"it has weights in {held}, none in {', '.join(first)} or {last}"
        raise InputError(message, path=network.param.path)


def _is_int8(network: Network, layer: Layer) -> bool:
    weights = network.weights.get(layer.name)
    stored = weights is not None and any(x.tag == INT8_TAG for x in weights.records.values())
    return stored or runs_int8([layer])


def _listed(names: Sequence[str]) -> str:
    few = ", ".join(f"'{name}'" for name in names[:_NAMED])
    return few + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def is_depthwise(layer: Layer) -> bool:
    """Tell whether every group of a convolution has one input and one output channel."""
    group = layer.int_param(7, 1)
    kernel = layer.int_param(1, 0) * layer.int_param(11, layer.int_param(1, 0))
    return layer.int_param(0, 0) == group and layer.int_param(6, 0) == group * kernel


def hazards(
    network: Network,
    shapes: Mapping[str, Sequence[int]],
    scales: Mapping[str, float] | None = None,
) -> Mapping[str, str]:
    """Name the layers that must stay in fp32, each with the reason.

    Args:
        network: The fp32 network.
        shapes: Shape by blob name, without a batch axis.
        scales: Scale of the input by name of each layer that is int8, where they are known.

    Returns:
        Reason by layer name, for layers of the types that could be int8.
    """
    reasons = {
        layer.name: _hazard(layer, shapes[layer.bottoms[0]], (scales or {}).get(layer.name))
        for layer in network.param.layers
        if layer.type in INT8_TYPES
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _hazard(layer: Layer, bottom: Sequence[int], scale: float | None) -> str | None:
    if _dynamic(layer):
        return "its weights are computed by another layer, so there is nothing to quantize"
    if layer.type == "InnerProduct":
        return None
    if len(bottom) == 1:
        return (
            "a convolution of a 1-D blob is run as an image of one channel in int8, which is "
            "wrong or crashes; as an InnerProduct with the same weights it could be int8"
        )
    border = layer.float_param(18, 0.0)
    # With the scale 1 a whole number is its own code; x86's padding gets negative ones wrong.
    if border != 0 and not (scale == 1 and border in range(1, 128)):
        return "its border is padded with a value that is not zero, which int8 does not scale"
    if needs_requantize(layer):
        outputs = layer.int_param(0, 0) // layer.int_param(7, 1)
        return (
            f"a grouped convolution with {outputs} outputs a group is wrong in int8 on x86 "
            "unless its output is requantized"
        )
    return None


def needs_requantize(layer: Layer) -> bool:
    """Tell whether a layer is wrong in int8 on x86 unless it hands int8 on to the next one.

    Grouped, not depthwise, convolutions with a multiple of 8 outputs a group are.
    """
    if layer.type != "ConvolutionDepthWise" or is_depthwise(layer):
        return False
    return layer.int_param(0, 0) // layer.int_param(7, 1) % 8 == 0


def _dynamic(layer: Layer) -> bool:
    return layer.type != "InnerProduct" and layer.int_param(19, 0) != 0
