"""How the input of a layer becomes int8: channel by channel, and where its zero lies."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.model.eligibility import is_depthwise
from quantkit.model.param import Layer
from quantkit.tuning.distillation.fake_quantization import LEVELS

Floats = NDArray[np.float64]

_LEAST: Final = 1e-3
"""Smallest range of a channel, in shares of the largest one."""


@dataclass(frozen=True)
class Shape:
    """What a form is made of, besides the ranges of the channels.

    Attributes:
        exponent: 0 gives all channels the largest range, 1 each its own; between them a channel's
            range is that far from the one to the other, in octaves (as in SmoothQuant, Xiao et al.,
            arXiv 2211.10438).
        clip: Share of the range that is kept.
        zero_point: Whether all 255 codes are spread from the smallest to the largest value.
    """

    exponent: float
    clip: float
    zero_point: bool


@dataclass(frozen=True, eq=False)
class InputForm:
    """What makes codes of a layer's input: `code = round(scale * x + zero)`, from -127 to 127.

    Attributes:
        scale: Shape (channels,). Negative with a zero point: the code of zero is then 127 behind a
            ReLU, and not -127, which x86's padding of int8 blobs gets wrong.
        zero: The code of zero, whole, shape (channels,).
    """

    scale: Floats
    zero: Floats

    @classmethod
    def of(cls, shape: Shape, lowest: Floats, highest: Floats) -> Self:
        """Make a form for channels whose values lie between two bounds, each of shape (channels,).

        Example:
            >>> form = InputForm.of(Shape(1, 1, True), np.zeros(2), np.array([1.0, 4.0]))
            >>> form.scale.tolist(), form.zero.tolist()
            ([-254.0, -63.5], [127.0, 127.0])
        """
        low, high = np.minimum(lowest, 0), np.maximum(highest, 0)
        reach = np.maximum(high, -low)
        largest = max(float(reach.max()), 1e-30)
        reach = np.maximum(reach, largest * _LEAST)
        if shape.exponent:
            wider = (largest / reach) ** (1 - shape.exponent)
            low, high = low * wider, high * wider
        else:
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        bound = np.maximum(np.maximum(high, -low) * shape.clip, largest * shape.clip * _LEAST)
        if not shape.zero_point:
            return cls(LEVELS / bound, np.zeros_like(bound))
        low, high = np.maximum(low, -bound), np.minimum(high, bound)
        scale = 2 * LEVELS / np.maximum(high - low, bound * _LEAST)
        return cls(-scale, np.round(LEVELS + low * scale))

    def suits(self, layer: Layer) -> bool:
        """Tell whether a layer can read it.

        A border is padded with one code for all channels, and x86's padding of int8 blobs gets a
        negative one wrong.
        """
        one_code = bool((self.zero == self.zero[0]).all() and self.zero[0] >= 0)
        return one_code or not is_padded(layer)


def is_padded(layer: Layer) -> bool:
    """Tell whether a convolution pads its input."""
    return any(layer.int_param(number, 0) for number in (4, 14, 15, 16))


def takes_forms(layer: Layer) -> bool:
    """Tell whether a layer's weights can be divided by the scales of its input's channels."""
    return layer.type == "Convolution" or (
        layer.type == "ConvolutionDepthWise" and is_depthwise(layer)
    )
