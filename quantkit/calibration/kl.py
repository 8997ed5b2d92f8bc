"""The threshold of ncnn2table's `kl`: where clipping and 128 levels lose the least information.

The histogram of absolute values is cut at every bin from 128 on. The cut one (the mass beyond goes
into its last bin) is compared with the same bins averaged into 128 levels, by the Kullback-Leibler
divergence, after Migacz, "8-bit Inference with TensorRT" (2017), as ncnn's
tools/quantize/ncnn2table.cpp does it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.calibration.kl_float32 import divergence_float32

LEVELS: Final = 128
EPSILON: Final = 1e-4
# ncnn2table sums in float32, which decides near-ties. Divergences as close to the least one as its
# roundings can reach, relative to 1 + 4 times that one, are summed once more, as it does.
_NEAR_TIE: Final = 1e-5
_BLOCK: Final = 120  # cuts at a time, so that the arrays stay in the processor's cache


def threshold(statistics: BlobStatistics) -> float:
    """Choose the absolute value that becomes 127.

    Args:
        statistics: Of the blob; not all of it zero.

    Returns:
        The middle of the chosen bin, computed in float32. The largest value where all values other
        than zero lie in its bin: their divergence is the same at every cut, and ncnn2table then
        takes the first, a sixteenth of it.
    """
    if np.count_nonzero(statistics.histogram) == 1:
        return statistics.absmax
    cut = best_cut(statistics.histogram)
    with np.errstate(over="ignore"):
        middle = np.float32(cut + 0.5) * np.float32(statistics.absmax)
    if not np.isfinite(middle):
        return (cut + 0.5) / BINS * statistics.absmax
    return float(middle / np.float32(BINS))


def best_cut(histogram: NDArray[np.int64]) -> int:
    """Find the number of bins to keep that has the least divergence; the first of equals.

    Args:
        histogram: Shape (2048,), not all zero.

    Returns:
        From 128 to 2047.
    """
    share = (histogram / histogram.sum()).astype(np.float32)
    divergence = divergences(share)
    least = divergence.min()
    near = np.flatnonzero(divergence <= least + _NEAR_TIE * (1 + 4 * least))
    exact = [divergence_float32(share, LEVELS + int(index)) for index in near]
    return LEVELS + int(near[int(np.argmin(exact))])


def divergences(share: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the divergence at every cut, from prefix sums.

    Args:
        share: The histogram divided by its sum, shape (2048,).

    Returns:
        Shape (1920,): for the cuts 128 to 2047.
    """
    bins = np.append(share.astype(np.float64), 0.0)
    below = np.concatenate(([0.0], np.cumsum(bins)))
    cross = np.concatenate([_cross_entropy(bins, below, edges) for edges in _edges()])
    return cross - _entropy(bins[:-1], below)


@dataclass(frozen=True, eq=False)
class _Edges:
    """Where the 129 edges of the levels fall for some cuts, in bins: whole part and fraction."""

    bin: NDArray[np.intp]
    fraction: NDArray[np.float64]
    divided: NDArray[np.float64]
    width: NDArray[np.float64]


@cache
def _edges() -> tuple[_Edges, ...]:
    return tuple(
        _edges_of(np.arange(first, min(first + _BLOCK, BINS)))
        for first in range(LEVELS, BINS, _BLOCK)
    )


def _edges_of(cuts: NDArray[np.int64]) -> _Edges:
    width = cuts[:, None] / LEVELS
    edges = width * np.arange(LEVELS + 1)
    whole = np.floor(edges)
    fraction = edges - whole
    return _Edges(whole.astype(np.intp), fraction, (fraction > 0).astype(np.float64), width)


def _cross_entropy(
    bins: NDArray[np.float64], below: NDArray[np.float64], edges: _Edges
) -> NDArray[np.float64]:
    at_edge = bins[edges.bin]
    before_edge = below[edges.bin]
    level = np.diff(before_edge + edges.fraction * at_edge, axis=1) / edges.width
    # A bin that an edge divides gets a share of both its levels; the other bins of a level share
    # one logarithm, weighted with their mass.
    divided = edges.divided * (at_edge + EPSILON)
    inside = np.diff(before_edge + EPSILON * edges.bin, axis=1) - divided[:, :-1]
    inside[:, -1] += below[-1] - before_edge[:, -1]
    right = edges.fraction[:, 1:-1]
    mixed = right * level[:, :-1] + (1 - right) * level[:, 1:]
    logarithms = np.einsum("ij,ij->i", inside, np.log(level + EPSILON))
    logarithms += np.einsum("ij,ij->i", divided[:, 1:-1], np.log(mixed + EPSILON))
    return np.asarray(-logarithms, np.float64)


def _entropy(bins: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    smooth = bins + EPSILON
    cuts = np.arange(LEVELS, BINS)
    before = np.concatenate(([0.0], np.cumsum(smooth * np.log(smooth))))
    last = smooth[cuts - 1] + (below[-1] - below[cuts])
    return np.asarray(-before[cuts - 1] - last * np.log(last), np.float64)
