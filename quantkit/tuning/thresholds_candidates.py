"""The thresholds that are tried for one blob."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.calibration.methods import METHODS

QUANTILES: Final = (0.9999, 0.999, 0.99)
"""Shares of the values other than zero that a candidate leaves unclipped."""
FACTORS: Final = (0.5, 0.7, 1.4, 2.0)
"""Of the KL threshold."""
_APART: Final = 1.08


def candidates(statistics: BlobStatistics) -> tuple[float, ...]:
    """Gather thresholds from every method, from quantiles and from around KL's.

    Args:
        statistics: Of the blob, not all of it zero.

    Returns:
        From the largest down, each at least 8 % below the one before.
    """
    found = {name: method(statistics) for name, method in METHODS.items()}
    around = [found["kl"] * factor for factor in FACTORS]
    quantiles = [quantile(statistics, share) for share in QUANTILES]
    usable = [t for t in (*found.values(), *around, *quantiles) if 0 < t <= statistics.absmax]
    return _apart(sorted(usable, reverse=True))


def quantile(statistics: BlobStatistics, share: float) -> float:
    """Find the absolute value below which this share of the values other than zero lies.

    Example:
        >>> histogram = np.zeros(2048, np.int64)
        >>> histogram[[10, 2047]] = 999, 1
        >>> quantile(BlobStatistics(2048.0, histogram, 1000, 0, 0.0, 2048.0, (1000,)), 0.99)
        11.0
    """
    below = np.cumsum(statistics.histogram)
    bins = int(np.searchsorted(below, share * below[-1])) + 1
    return statistics.absmax * bins / BINS


def _apart(descending: Sequence[float]) -> tuple[float, ...]:
    kept: list[float] = []
    for threshold in descending:
        if not kept or kept[-1] >= threshold * _APART:
            kept.append(threshold)
    return tuple(kept)
