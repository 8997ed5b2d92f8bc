"""The thresholds that are tried for one blob."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.methods import METHODS

FACTORS: Final = (0.5, 0.7, 1.4, 2.0)
"""Of the KL threshold."""
_APART: Final = 1.08
_GAP: Final = 1.5
"""Neighbours further apart get others between them: where outliers are rare, KL's is far above the
best one and a percentile far below."""


def candidates(statistics: BlobStatistics) -> tuple[float, ...]:
    """Gather thresholds from every method and from around KL's.

    Args:
        statistics: Of the blob, not all of it zero.

    Returns:
        From the largest down, each at least 8 % below the one before, and not much more than a
        third.
    """
    found = {name: method(statistics) for name, method in METHODS.items()}
    around = [found["kl"] * factor for factor in FACTORS]
    usable = [t for t in (*found.values(), *around) if 0 < t <= statistics.absmax]
    return _without_gaps(_apart(sorted(usable, reverse=True)))


def _apart(descending: Sequence[float]) -> tuple[float, ...]:
    kept: list[float] = []
    for threshold in descending:
        if not kept or kept[-1] >= threshold * _APART:
            kept.append(threshold)
    return tuple(kept)


def _without_gaps(descending: Sequence[float]) -> tuple[float, ...]:
    filled = [*descending[:1]]
    for above, below in pairwise(descending):
        parts = math.ceil(math.log(above / below) / math.log(_GAP))
        filled += [above * (below / above) ** (part / parts) for part in range(1, parts)]
        filled.append(below)
    return tuple(filled)
