"""A point for each candidate: what the network's blobs look like for it, as pooled statistics."""

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.magnitude_bins import magnitude_centres
from quantkit.selection.octaves import octaves

Points = NDArray[np.float32]


def pooled_features(activations: Activations) -> Points:
    """Describe each candidate by four numbers a blob, each with mean 0 and deviation 1.

    The numbers are the logarithms of the largest, the root mean square and the mean absolute
    value, and the share of values that are not as good as zero. Columns in which all candidates
    are alike are left out. Memory: 16 bytes a candidate and blob.

    Returns:
        Shape (n, up to 4 * blobs).

    Raises:
        ValueError: There are no candidates.
    """
    points = np.concatenate([_pooled(activations, rows) for rows in activations.blocks()])
    deviation = points.std(axis=0, dtype=np.float64)
    kept = deviation > 1e-6
    mean = points.mean(axis=0, dtype=np.float64)
    points = points[:, kept]
    points -= mean[kept].astype(np.float32)
    points /= deviation[kept].astype(np.float32)
    return points


def _pooled(activations: Activations, rows: slice) -> Points:
    shares = activations.shares(rows)
    centres = magnitude_centres().astype(np.float32)
    columns = (
        octaves(activations.absmax[rows]),
        octaves(shares @ np.square(centres)) / 2,
        octaves(shares @ centres),
        1 - shares[:, :, 0],
    )
    return np.concatenate(columns, axis=1, dtype=np.float32)
