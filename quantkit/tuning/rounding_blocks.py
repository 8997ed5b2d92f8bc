"""A layer's weights as blocks of rows and columns: what shares its inputs is one block."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.weight_scales import scale_count
from quantkit.model.param import Layer
from quantkit.tuning.gptq import Floats

MOST_COLUMNS: Final = 2304
"""Largest Hessian; a layer with more inputs is cut into blocks of channels that know nothing of
each other, since time grows with the third power and memory with the second."""


@dataclass(frozen=True)
class WeightBlocks:
    """How the flat weights of a layer are cut.

    Attributes:
        groups: Groups of channels with inputs of their own.
        parts: Into how many blocks the inputs of a row are cut.
        rows: Output channels of a group.
        columns: Weights of a row in one block.
        scales: Number of weight scales.
    """

    groups: int
    parts: int
    rows: int
    columns: int
    scales: int

    @classmethod
    def of(cls, layer: Layer, most_columns: int = MOST_COLUMNS) -> Self:
        """Cut the weights of a Convolution, ConvolutionDepthWise or InnerProduct.

        Example:
            >>> WeightBlocks.of(Layer("InnerProduct", "fc", ("a",), ("b",), {0: "8", 2: "320"}), 32)
            WeightBlocks(groups=1, parts=2, rows=8, columns=20, scales=8)
        """
        groups = layer.int_param(7, 1) if layer.type == "ConvolutionDepthWise" else 1
        outputs = layer.int_param(0, 0)
        width = layer.int_param(2 if layer.type == "InnerProduct" else 6, 0) // outputs
        taps = 1 if layer.type == "InnerProduct" else kernel_taps(layer)
        channels = width // taps
        fitting = (n for n in range(1, channels) if not channels % n and width // n <= most_columns)
        parts = next(fitting, channels)
        return cls(groups, parts, outputs // groups, width // parts, scale_count(layer))

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.groups * self.parts

    @property
    def hessian_bytes(self) -> int:
        """Memory of the Hessians."""
        return 8 * self.count * self.columns**2

    def folded(self, flat: NDArray[Any]) -> Floats:
        """Lay flat weights out as (blocks, rows, columns)."""
        shape = (self.groups, self.rows, self.parts, self.columns)
        blocks = flat.astype(np.float64).reshape(shape).transpose(0, 2, 1, 3)
        return blocks.reshape(self.count, self.rows, self.columns)

    def flat(self, blocks: Floats) -> Floats:
        """Undo `folded`."""
        shape = (self.groups, self.parts, self.rows, self.columns)
        return blocks.reshape(shape).transpose(0, 2, 1, 3).reshape(-1)

    def by_row(self, values: Floats) -> Floats:
        """Add up (blocks, rows) over the parts of a row: one value an output channel."""
        total: Floats = values.reshape(self.groups, self.parts, self.rows).sum(axis=1).reshape(-1)
        return total


def kernel_taps(layer: Layer) -> int:
    """Count the positions under a convolution's kernel."""
    width = layer.int_param(1, 0)
    return width * layer.int_param(11, width)
