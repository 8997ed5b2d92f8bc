"""How much of what the network does on a pool a calibration set covers."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from quantkit.selection.activations import Activations

_NEAR: Final = 0.9


def range_coverage(activations: Activations, chosen: Sequence[int]) -> dict[str, Any]:
    """Compare the ranges of the blobs on a set with those on all candidates.

    Args:
        activations: Of the candidates.
        chosen: Indices of those in the set.

    Returns:
        Ready for JSON: how many blobs there are, in how many of them the set's largest value is at
        least nine tenths of the candidates', and which share of it is reached in the median blob
        and in the worst.

    Example:
        >>> absmax = np.array([[8.0, 2.0], [4.0, 4.0]], np.float32)
        >>> counts = np.ones((2, 2, 48), np.uint16)
        >>> two = Activations(("a", "b"), (("x",), ("y",)), absmax, counts, np.arange(2))
        >>> range_coverage(two, [0])
        {'blobs': 2, 'reached': 1, 'median': 0.75, 'worst': 0.5}
    """
    pool = np.maximum(activations.absmax.max(axis=0).astype(np.float64), np.finfo(float).tiny)
    share = activations.absmax[np.asarray(chosen, np.intp)].max(axis=0) / pool
    share[activations.absmax.max(axis=0) == 0] = 1.0
    return {
        "blobs": len(share),
        "reached": int((share >= _NEAR).sum()),
        "median": round(float(np.median(share)), 4),
        "worst": round(float(share.min()), 4),
    }
