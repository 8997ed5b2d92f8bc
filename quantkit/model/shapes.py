"""The shape of every blob of a network, computed without running it.

Shapes are (w,), (h, w), (c, h, w) or (c, d, h, w), without a batch axis, as in numpy.
Facts: forward of each layer in ncnn src/layer/*.cpp.
"""

from collections.abc import Mapping
from typing import Final

from quantkit.model.attention_shapes import ATTENTION_RULES
from quantkit.model.param import Layer, Param
from quantkit.model.rearranged_shapes import REARRANGED_RULES
from quantkit.model.shape_rule import Misfit, Rule, Shape, Shapes
from quantkit.model.windowed_shapes import WINDOWED_RULES

_UNCHANGED: Final = """
    AbsVal BNLL BatchNorm Bias CELU Cast Clip CopyTo CumulativeSum DeepCopy Dequantize Dropout ELU
    Eltwise Erf Exp Flip GELU GroupNorm HardSigmoid HardSwish InstanceNorm LRN LayerNorm Log MVN
    Mish Noop Normalize PReLU Power Quantize RMSNorm ReLU Requantize RotaryEmbed SELU Scale Shrink
    ShuffleChannel Sigmoid Softmax Softplus Split Swish TanH Threshold UnaryOp
"""


def blob_shapes(param: Param, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
    r"""Compute the shape of every blob.

    Args:
        param: The graph.
        inputs: Shape by name of input blob. One whose Input layer gives its shape may be left out.

    Returns:
        Shape by blob name.

    Raises:
        InputError: An input's shape is not known, a layer does not fit the shapes it reads, or
            its type is one whose output depends on more than shapes; the layer is named.

    Example:
        >>> from quantkit.model.param import parse_param
        >>> text = "7767517\n2 2\nInput in 0 1 a\nPooling p 1 1 a b 0=1 4=1\n"
        >>> blob_shapes(parse_param(text), {"a": (8, 16, 16)})["b"]
        (8,)
    """
    shapes: dict[str, Shape] = {}
    for layer in param.layers:
        if layer.type in ("Input", "MemoryData"):
            tops: Shapes = (inputs.get(layer.tops[0]) or _given(layer),)
        else:
            tops = _tops(layer, [shapes[blob] for blob in layer.bottoms])
        shapes.update(zip(layer.tops, tops, strict=True))
    return shapes


def _tops(layer: Layer, bottoms: Shapes) -> Shapes:
    if layer.type not in _RULES:
        message = f"the shape that a layer of type {layer.type} makes is not known"
        raise layer.error(message)
    try:
        return layer_shapes(layer, bottoms)
    except (ArithmeticError, IndexError, KeyError, ValueError) as error:
        reason = f": {error}" if isinstance(error, Misfit) else ""
        message = f"does not fit blobs of shape {bottoms}{reason}"
        raise layer.error(message) from error


def layer_shapes(layer: Layer, bottoms: Shapes) -> Shapes:
    """Compute the shapes of a layer's tops.

    Raises:
        Misfit: The bottoms do not go together, or leave nothing of the output.
        ValueError: They do not fit, or are more than the rule of the type covers. IndexError,
            KeyError and ArithmeticError likewise; a KeyError also where the type has no rule.
    """
    tops = _RULES[layer.type](layer, bottoms)
    if len(tops) != len(layer.tops) or any(size <= 0 for top in tops for size in top):
        message = f"its output would be {tops}"
        raise Misfit(message)
    return tops


def own_shape(layer: Layer) -> Shape | None:
    """Read the shape that an Input or MemoryData layer states; None where it states none."""
    sizes = [layer.int_param(number, 0) for number in (2, 11, 1, 0)]
    shape = tuple(size for size in sizes if size > 0)
    return shape or (None if layer.type == "Input" else (1,))


def _given(layer: Layer) -> Shape:
    shape = own_shape(layer)
    if shape is None:
        message = f"the shape of input '{layer.tops[0]}' is not known; give it"
        raise layer.error(message)
    return shape


def _unchanged(layer: Layer, bottoms: Shapes) -> Shapes:
    return [bottoms[0]] * len(layer.tops)


def _binary(layer: Layer, bottoms: Shapes) -> Shapes:
    if len(bottoms) == 1:
        return bottoms
    rank = max(len(shape) for shape in bottoms)
    first, second = (expanded(shape, other, rank) for shape, other in (bottoms, bottoms[::-1]))
    if any(a != b and 1 not in (a, b) for a, b in zip(first, second, strict=True)):
        message = f"cannot be broadcast: {bottoms}"
        raise Misfit(message)
    return [tuple(map(max, first, second))]


def expanded(shape: Shape, other: Shape, rank: int) -> Shape:
    """Add the missing axes inside, as ncnn does, or outside for a 1-D blob that fits the width.

    Args:
        shape: Of the blob.
        other: Of the blob that it meets, or of what both make.
        rank: How many axes there are to be.

    Example:
        >>> expanded((8,), (8, 4, 6), 3), expanded((6,), (8, 4, 6), 3)
        ((8, 1, 1), (1, 1, 6))
    """
    missing = (1,) * (rank - len(shape))
    if len(shape) == 1 and shape[0] != other[0]:
        return missing + shape
    return shape + missing


_RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_UNCHANGED.split(), _unchanged),
    "BinaryOp": _binary,
    **WINDOWED_RULES,
    **REARRANGED_RULES,
    **ATTENTION_RULES,
}
