"""Whether an input's shape is one that a network was made for.

ncnn compares none of this: it reads past the weights and gives nonsense, NaN or a segfault.
Facts: load_param and forward of each layer in ncnn src/layer/*.cpp.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from quantkit.errors import InputError
from quantkit.model.attention_shapes import gemm_inner
from quantkit.model.param import Layer, Param
from quantkit.model.shape_rule import Misfit, Shape, Shapes
from quantkit.model.shapes import layer_shapes, own_shape

_USUAL_SIZES: Final = ((192, 256), (288, 384), (256, 192), (384, 288), (48, 64), (320, 256))
_SIDES: Final = range(8, 1025, 8)


def check_input(param: Param, source: str, shape: Shape | None) -> Mapping[str, Shape]:
    r"""Refuse an input with which a layer would read past its weights or its other inputs.

    Args:
        param: The graph.
        source: Name of the input blob.
        shape: Its shape, (channels, height, width); None where only the .param may say it.

    Returns:
        Shape by blob name, as far as the shapes can be computed: a layer whose output depends on
        more than shapes ends what is known behind it.

    Raises:
        InputError: A layer takes another number of values than it gets; both numbers are named, and
            an input that would fit where there is a simple one.

    Example:
        >>> from quantkit.model.param import parse_param
        >>> text = "7767517\n2 2\nInput in 0 1 in\nInnerProduct fc 1 1 in out 0=9 2=1728\n"
        >>> check_input(parse_param(text), "in", (3, 8, 8))["out"]
        (9,)
        >>> check_input(parse_param(text), "in", (3, 8, 16))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        quantkit.errors.InputError: InnerProduct 'fc' takes 192 values, its input has 384: ...
    """
    given = {} if shape is None else {source: shape}
    try:
        return dict(_known_shapes(param, given))
    except _DoesNotFit as error:
        layer, problem = error.layer, error.problem
    if shape is None:
        hint = "give another --size or another network"
    elif (fitting := _fitting(param, source, shape)) is None:
        hint = "is the input size right?"
    elif fitting[1:] == shape[1:]:
        hint = f"an input of {_counted(fitting[0], 'channel')} would fit"
    else:
        hint = f"is the input size right? {fitting[2]}x{fitting[1]} would fit"
    message = f"{layer.type} '{layer.name}' {problem}: {hint}"
    raise InputError(message, path=layer.origin.path, line=layer.origin.line)


class _DoesNotFit(Exception):
    def __init__(self, layer: Layer, problem: str) -> None:
        super().__init__(problem)
        self.layer, self.problem = layer, problem


def _known_shapes(param: Param, given: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    shapes: dict[str, Shape] = {}
    for layer in param.layers:
        bottoms = [shapes[blob] for blob in layer.bottoms if blob in shapes]
        if len(bottoms) < len(layer.bottoms):
            continue
        tops = _checked(layer, bottoms, given)
        shapes.update(zip(layer.tops, tops, strict=False))
        yield from zip(layer.tops, tops, strict=False)


def _checked(layer: Layer, bottoms: Shapes, given: Mapping[str, Shape]) -> Shapes:
    """Give the shapes of a layer's tops, none where they cannot be computed."""
    if layer.type in ("Input", "MemoryData"):
        found = given.get(layer.tops[0]) or own_shape(layer)
        return [] if found is None else [found]
    try:
        if (problem := _weights_problem(layer, bottoms)) is not None:
            raise _DoesNotFit(layer, problem)
        return layer_shapes(layer, bottoms)
    except Misfit as error:
        raise _DoesNotFit(layer, f"does not fit its input: {error}") from error
    except (ArithmeticError, IndexError, KeyError, ValueError, InputError):
        return []


def _fitting(param: Param, source: str, shape: Shape) -> Shape | None:
    """Look for an input that fits: the aspect ratio kept, a usual size, a square, its channels."""
    if len(shape) != 3:
        return None
    channels, height, width = shape
    divisor = math.gcd(height, width)
    aspect = (height // divisor, width // divisor)
    scaled = [(aspect[0] * k, aspect[1] * k) for k in range(1, _SIDES.stop // max(aspect) + 1)]
    sizes = [size for size in scaled if all(side in _SIDES for side in size)]
    sizes.sort(key=lambda size: (_roundness(size), abs(math.log(size[0] / height))))
    sizes += [(high, wide) for wide, high in _USUAL_SIZES]
    sizes += sorted(((side, side) for side in _SIDES), key=_roundness)
    candidates = [(channels, *size) for size in sizes]
    candidates += [(count, height, width) for count in (1, 3, 4) if count != channels]
    for candidate in candidates:
        try:
            dict(_known_shapes(param, {source: candidate}))
        except _DoesNotFit:
            continue
        return candidate
    return None


def _roundness(size: Sequence[int]) -> int:
    """Rank multiples of 32 before those of 16 and of 8: strides let several sizes fit."""
    return next(rank for rank, step in enumerate((32, 16, 8)) if not any(x % step for x in size))


def _weights_problem(layer: Layer, bottoms: Shapes) -> str | None:
    for takes, has, unit in _RULES.get(layer.type, _nothing)(layer, bottoms):
        if has != takes:
            return f"takes {_counted(takes, unit)}, its input has {has}"
    return None


def _counted(count: int, unit: str) -> str:
    noun, _, rest = unit.partition(" ")
    return " ".join(filter(None, (str(count), noun if count == 1 else f"{noun}s", rest)))


_Demand = tuple[int, int, str]
"""How many the weights take, how many there are, and of what."""


def _nothing(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    yield from ()


def _convolution(axes: int, dynamic: int) -> Callable[[Layer, Shapes], Iterator[_Demand]]:
    def demands(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
        bottom = bottoms[0]
        if layer.int_param(dynamic, 0):
            return
        width = layer.int_param(1, 0)
        kernel = math.prod(layer.int_param(number, width) for number in (1, 11, 21)[:axes])
        groups = layer.int_param(7, 1) if "DepthWise" in layer.type else 1
        takes = layer.int_param(6, 0) * groups // (layer.int_param(0, 0) * kernel)
        if len(bottom) == axes + 1:
            yield takes, bottom[0], "channel"
        elif len(bottom) == 1 and kernel == 1 and axes == 2 and groups == 1:
            yield takes, bottom[0], "value"

    return demands


def _inner_product(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    takes = layer.int_param(2, 0) // layer.int_param(0, 0)
    if len(bottoms[0]) != 2 or bottoms[0][1] != takes:
        yield takes, math.prod(bottoms[0]), "value"


def _channels(number: int, *, least: int = 1) -> Callable[[Layer, Shapes], Iterator[_Demand]]:
    """Make the rule of a layer with weights for each entry of the first axis, if so many."""

    def demands(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
        count = layer.int_param(number, 1)
        if count >= least:
            yield count, bottoms[0][0], "channel"

    return demands


def _instance_norm(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    if layer.int_param(2, 1) and len(bottoms[0]) >= 3:
        yield layer.int_param(0, 0), bottoms[0][0], "channel"


def _normalize(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    if not layer.int_param(1, 0):
        yield layer.int_param(3, 0), bottoms[0][0], "channel"


def _layer_norm(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    bottom, takes = bottoms[0], layer.int_param(0, 0)
    if not layer.int_param(2, 1):
        return
    # Two axes are normalised row by row; more by their last axes, as many as the weights say.
    tails = [math.prod(bottom[-count:]) for count in range(1, max(len(bottom), 2))]
    yield takes, takes if takes in tails else tails[0], "value a row"


def _attention(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    width = layer.int_param(0, 0)
    takes = (
        layer.int_param(2, 0) // width,
        layer.int_param(3, width),
        layer.int_param(4, width),
    )
    given = len(bottoms) - bool(layer.int_param(5, 0))
    if layer.int_param(7, 0) or not 1 <= given <= 3:
        return
    sources = (0, min(1, given - 1), given - 1)
    for count, number in zip(takes, sources, strict=True):
        yield count, bottoms[number][-1], "value a row"


def _recurrent(gates: int) -> Callable[[Layer, Shapes], Iterator[_Demand]]:
    def demands(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
        outputs = layer.int_param(0, 0)
        hidden = layer.int_param(3, outputs) if layer.type == "LSTM" else outputs
        directions = 2 if layer.int_param(2, 0) == 2 else 1
        takes = layer.int_param(1, 0) // (hidden * gates * directions)
        yield takes, bottoms[0][-1], "value a row"

    return demands


def _gemm(layer: Layer, bottoms: Shapes) -> Iterator[_Demand]:
    fixed = layer.int_param(4, 0) or layer.int_param(5, 0)
    if fixed and len(bottoms) >= 1 and not (layer.int_param(4, 0) and layer.int_param(5, 0)):
        yield layer.int_param(9, 0), gemm_inner(layer, bottoms[0]), "value a row"


_RULES: Final[Mapping[str, Callable[[Layer, Shapes], Iterator[_Demand]]]] = {
    **dict.fromkeys(("Convolution1D", "ConvolutionDepthWise1D"), _convolution(1, 19)),
    **dict.fromkeys(("Convolution", "ConvolutionDepthWise"), _convolution(2, 19)),
    **dict.fromkeys(("Convolution3D", "ConvolutionDepthWise3D"), _convolution(3, 19)),
    **dict.fromkeys(("Deconvolution1D", "DeconvolutionDepthWise1D"), _convolution(1, 28)),
    **dict.fromkeys(("Deconvolution", "DeconvolutionDepthWise"), _convolution(2, 28)),
    **dict.fromkeys(("Deconvolution3D", "DeconvolutionDepthWise3D"), _convolution(3, 28)),
    "DeformableConv2D": _convolution(2, 19),
    "InnerProduct": _inner_product,
    "BatchNorm": _channels(0, least=0),
    "Bias": _channels(0, least=0),
    "Scale": _channels(0, least=0),
    # Their one entry serves all channels.
    **dict.fromkeys(("PReLU", "Quantize", "Dequantize", "Requantize"), _channels(0, least=2)),
    "Padding": _channels(6, least=2),
    "GroupNorm": _channels(1, least=0),
    "InstanceNorm": _instance_norm,
    "Normalize": _normalize,
    **dict.fromkeys(("LayerNorm", "RMSNorm"), _layer_norm),
    "MultiHeadAttention": _attention,
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    "Gemm": _gemm,
}
