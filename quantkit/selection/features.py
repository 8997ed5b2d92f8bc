"""A point for each candidate: what the network's blobs look like for it, as pooled statistics."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.magnitude_bins import magnitude_centres
from quantkit.selection.octaves import octaves

Points = NDArray[np.float32]

_ROWS: Final = 256
"""Points that are looked at together, so that no copy of all is made."""


def pooled_features(activations: Activations) -> Points:
    """Describe each candidate by four numbers a blob, each with mean 0 and deviation 1.

    The numbers are the logarithms of the largest, the mean square and the mean absolute value, and
    the share of values that are not as good as zero. Columns in which all candidates are alike are
    left out. Memory: 16 bytes a candidate and blob, and what a block of shares takes.

    Returns:
        Shape (n, up to 4 * blobs).

    Raises:
        ValueError: There are no candidates.
    """
    if not len(activations):
        raise ValueError("there are no candidates to describe")
    points = np.empty((len(activations), 4 * len(activations.blobs)), np.float32)
    for rows in activations.blocks():
        _describe(activations, rows, points[rows])
    mean = points.mean(axis=0, dtype=np.float64)
    deviation = _deviation(points, mean)
    kept = np.flatnonzero(deviation > 1e-6)
    shift, scale = mean[kept].astype(np.float32), deviation[kept].astype(np.float32)
    for rows in _blocks(points):
        points[rows, : len(kept)] = (points[rows, kept] - shift) / scale
    return points[:, : len(kept)]


def squared_distances(points: Points, index: int) -> Points:
    """Measure how far each point is from one of them, squared.

    Returns:
        Shape (n,).
    """
    found = np.empty(len(points), np.float32)
    for rows in _blocks(points):
        step = points[rows] - points[index]
        np.einsum("ij,ij->i", step, step, out=found[rows])
    return found


def _describe(activations: Activations, rows: slice, points: Points) -> None:
    shares = activations.shares(rows)
    centres = magnitude_centres().astype(np.float32)
    columns = (
        octaves(activations.absmax[rows]),
        octaves(shares @ np.square(centres)),
        octaves(shares @ centres),
        1 - shares[:, :, 0],
    )
    np.concatenate(columns, axis=1, out=points)


def _deviation(points: Points, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(points.shape[1])
    for rows in _blocks(points):
        total += np.square(points[rows] - mean).sum(axis=0)
    return np.asarray(np.sqrt(total / len(points)))


def _blocks(points: Points) -> Iterator[slice]:
    for start in range(0, len(points), _ROWS):
        yield slice(start, start + _ROWS)
