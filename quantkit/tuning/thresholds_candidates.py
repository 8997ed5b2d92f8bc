"""The thresholds that are tried for one blob."""

from collections.abc import Sequence
from typing import Final

from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.methods import METHODS

FACTORS: Final = (0.5, 0.7, 1.4, 2.0)
"""Of the KL threshold."""
_APART: Final = 1.08


def candidates(statistics: BlobStatistics) -> tuple[float, ...]:
    """Gather thresholds from every method and from around KL's.

    Args:
        statistics: Of the blob, not all of it zero.

    Returns:
        From the largest down, each at least 8 % below the one before.
    """
    found = {name: method(statistics) for name, method in METHODS.items()}
    around = [found["kl"] * factor for factor in FACTORS]
    usable = [t for t in (*found.values(), *around) if 0 < t <= statistics.absmax]
    return _apart(sorted(usable, reverse=True))


def _apart(descending: Sequence[float]) -> tuple[float, ...]:
    kept: list[float] = []
    for threshold in descending:
        if not kept or kept[-1] >= threshold * _APART:
            kept.append(threshold)
    return tuple(kept)
