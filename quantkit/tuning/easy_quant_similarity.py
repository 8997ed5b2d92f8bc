"""Cosine similarity of a layer's int8 and fp32 outputs, from sums by weight scale.

The error e of an output r enters by its sums e.r and e.e alone, and what a channel adds to them
depends on no other channel's weight scale. So one run of a layer with every channel at its k-th
scale serves all channels, and to change one of them takes no run at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.weight_scales import scale_count
from quantkit.model.param import Layer

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ErrorSums:
    """What int8 does to a layer's output.

    Attributes:
        along: Sum of error times fp32 output, shape (crops, scales).
        square: Sum of the error's square, likewise.
    """

    along: Floats
    square: Floats

    @classmethod
    def stacked(cls, sums: Sequence[Self]) -> Self:
        """Lay several out along a new first axis."""
        return cls(np.stack([one.along for one in sums]), np.stack([one.square for one in sums]))

    def taken(self, chosen: NDArray[np.intp]) -> "ErrorSums":
        """Take each scale's sums from one of those that were stacked: shape (crops, scales)."""
        scales = np.arange(len(chosen))
        return ErrorSums(self.along[chosen, :, scales].T, self.square[chosen, :, scales].T)


class Reference:
    """The fp32 outputs of a layer that is judged.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        outputs: Its fp32 output for each crop.
    """

    def __init__(self, layer: Layer, outputs: Iterable[Array]) -> None:
        self._layer = layer
        self._rows = [self._by_scale(one) for one in outputs]
        self._energy = np.array([np.square(one, dtype=np.float64).sum() for one in self._rows])
        self._usable = (self._energy > 0) & np.isfinite(self._energy)

    @property
    def usable(self) -> bool:
        """Whether any crop has an output that is finite and not all zero."""
        return bool(self._usable.any())

    def sums(self, outputs: Iterable[Array]) -> ErrorSums:
        """Sum up the errors of int8 outputs, one a crop."""
        along, square = [], []
        # Beyond float32 an output is no match at all, which `similarity` says.
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, output in zip(self._rows, outputs, strict=True):
                error = self._by_scale(output) - rows
                along.append(np.einsum("ij,ij->i", error, rows))
                square.append(np.einsum("ij,ij->i", error, error))
        return ErrorSums(np.array(along, np.float64), np.array(square, np.float64))

    def similarity(self, along: Floats, square: Floats) -> Floats:
        """Compute the mean cosine similarity over the crops.

        A crop whose fp32 output is zero or not finite is left out; an int8 output of zeros has the
        similarity 0, one that is not finite -1.

        Args:
            along: Sum of error times fp32 output over the whole layer, shape (..., crops).
            square: Sum of the error's square, likewise.

        Returns:
            Shape (...).
        """
        energy, x, e = (
            self._energy[self._usable],
            along[..., self._usable],
            square[..., self._usable],
        )
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            length = energy + 2 * x + e
            cosine = (energy + x) / np.sqrt(energy * length)
        cosine = np.where(length > 0, cosine, 0.0)
        cosine[~(np.isfinite(x) & np.isfinite(e))] = -1.0
        return np.asarray(cosine.mean(axis=-1), np.float64)

    def of(self, sums: ErrorSums) -> float:
        """Compute the mean cosine similarity over the crops of one run."""
        return float(self.similarity(sums.along.sum(axis=-1), sums.square.sum(axis=-1)))

    def _by_scale(self, output: Array) -> Array:
        """Lay an output out as (scales, values)."""
        outputs = self._layer.int_param(0, 0)
        if self._layer.type == "InnerProduct":
            return np.ascontiguousarray(output.reshape(-1, outputs).T)
        return output.reshape(scale_count(self._layer), -1)


def best_channels(
    reference: Reference, tried: ErrorSums, chosen: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Choose each weight scale in turn, given all others, for the greatest similarity.

    Args:
        reference: The fp32 outputs.
        tried: Sums of shape (candidates, crops, scales).
        chosen: The candidate of each scale to start from, which stays where none is better.

    Returns:
        The candidate of each scale.
    """
    found = chosen.copy()
    now = tried.taken(found)
    along, square = now.along.sum(axis=1), now.square.sum(axis=1)
    for scale, old in enumerate(found):
        alongs, squares = tried.along[:, :, scale], tried.square[:, :, scale]
        others = along - alongs[old], square - squares[old]
        similarity = reference.similarity(others[0] + alongs, others[1] + squares)
        found[scale] = new = better(similarity, old)
        along, square = others[0] + alongs[new], others[1] + squares[new]
    return found


def better(similarity: Floats, old: int) -> int:
    """Take the first candidate of the greatest similarity, or the old one if none is greater.

    Example:
        >>> better(np.array([0.5, 0.9, 0.9]), old=2), better(np.array([0.5, 0.9, 0.9]), old=0)
        (2, 1)
    """
    new = int(np.argmax(similarity))
    return new if similarity[new] > similarity[old] else int(old)
