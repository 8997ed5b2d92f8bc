"""The inputs under a layer's kernel at some of its output positions, as ncnn's layers read them.

Facts: ncnn src/layer/convolution.cpp, innerproduct.cpp.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.model.param import Layer
from quantkit.tuning.rounding_blocks import WeightBlocks

Array = NDArray[np.float32]
Pads = tuple[int, int]
_SAME_UPPER, _SAME_LOWER = -233, -234


def patches(
    layer: Layer, blocks: WeightBlocks, blob: Array, most: int, rng: np.random.Generator
) -> Array:
    """Take input patches.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        blocks: How its weights are cut.
        blob: Its input.
        most: How many output positions to take; they are drawn where there are more.
        rng: Draws them.

    Returns:
        Shape (blocks, positions, columns): times the weights of a row, summed over the parts, they
        give the output before bias and activation.
    """
    if layer.type == "InnerProduct":
        vectors = blob.reshape(-1, blocks.parts * blocks.columns)
        taken = vectors[_drawn(len(vectors), most, rng)]
        return taken.reshape(len(taken), blocks.parts, blocks.columns).transpose(1, 0, 2)
    image = blob.reshape(-1, 1, 1) if blob.ndim == 1 else blob
    (tall, rows, above), (wide, columns, left) = (
        _window(layer, size, axis) for axis, size in enumerate(image.shape[1:])
    )
    drawn = _drawn(len(rows) * len(columns), most, rng)
    y = rows[drawn // len(columns)][:, None, None] + tall[:, None]
    x = columns[drawn % len(columns)][:, None, None] + wide
    pads = ((0, 0), above, left)
    taken = (np.pad(image, pads) if any(above + left) else image)[:, y, x]
    shape = (blocks.count, -1, len(drawn), len(tall) * len(wide))
    return taken.reshape(shape).transpose(0, 2, 1, 3).reshape(*shape[::2], blocks.columns)


def _window(layer: Layer, size: int, axis: int) -> tuple[NDArray[Any], NDArray[Any], Pads]:
    """Offsets under the kernel, starts in the padded image, and pads, of height (0) or width (1).

    The height's parameters default to the width's.
    """
    shift = 10 * (1 - axis)
    kernel, dilation, stride = (
        layer.int_param(number + shift, layer.int_param(number, default))
        for number, default in ((1, 0), (2, 1), (3, 1))
    )
    spread = dilation * (kernel - 1) + 1
    pads = _pads(layer, size, axis, (spread, stride))
    count = (size + sum(pads) - spread) // stride + 1
    return np.arange(kernel) * dilation, np.arange(count) * stride, pads


def _pads(layer: Layer, size: int, axis: int, window: tuple[int, int]) -> Pads:
    before = layer.int_param(4, 0)
    if before in (_SAME_UPPER, _SAME_LOWER):
        spread, stride = window
        missing = max((size - 1) // stride * stride + spread - size, 0)
        less, more = missing // 2, missing - missing // 2
        return (less, more) if before == _SAME_UPPER else (more, less)
    first, last = (4, 15) if axis else (14, 16)
    begin = layer.int_param(first, before)
    return begin, layer.int_param(last, begin)


def _drawn(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))
