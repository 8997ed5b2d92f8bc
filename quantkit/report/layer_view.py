"""What a picture of one layer is drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS, BlobStatistics

_LEAST_SHOWN: Final = 1e-5


@dataclass(frozen=True, eq=False)
class LayerView:
    """The input of a layer and its weights, with the scales that a table gives them.

    Attributes:
        name: The layer.
        type: Its ncnn type.
        crops: Number of crops behind the statistics.
        statistics: Of its input blob.
        threshold: The absolute value that the table makes 127.
        others: What other methods would choose from the same statistics, by their names.
        weight_absmax: Largest absolute weight of each scale, shape (scales,).
        levels: The integer that this weight becomes, shape (scales,).
    """

    name: str
    type: str
    crops: int
    statistics: BlobStatistics
    threshold: float
    others: Mapping[str, float]
    weight_absmax: NDArray[np.float32]
    levels: NDArray[np.int64]

    @property
    def clipped_share(self) -> float:
        """Share of all values, zeros included, that the threshold cuts off.

        Counted in the histogram's bins of 1/2048 of the range.
        """
        return clipped_share(self.statistics, self.threshold)

    @property
    def clipped(self) -> str:
        """The clipped share in words."""
        share = self.clipped_share
        if not share:
            return "nothing"
        return f"{share:.3%}" if share >= _LEAST_SHOWN else f"<{_LEAST_SHOWN:.3%}"

    @property
    def weight_range(self) -> float | None:
        """How many times the largest channel exceeds the smallest; None where all are dead."""
        alive = self.weight_absmax[self.weight_absmax > 0]
        return float(alive.max() / alive.min()) if alive.size else None


def clipped_share(statistics: BlobStatistics, threshold: float) -> float:
    """Count the values whose absolute value is above a threshold, as a share of all.

    Example:
        >>> counts = np.zeros(2048, np.int64)
        >>> counts[[0, 2047]] = 3, 1
        >>> clipped_share(BlobStatistics(1.0, counts, 8, 4, 0.0, 1.0, (8,)), 0.5)
        0.125
    """
    histogram = statistics.histogram
    total = int(histogram.sum())
    if not total:
        return 0.0
    lower_edges = np.arange(BINS) * (statistics.absmax / BINS)
    above = int(histogram[lower_edges >= threshold].sum())
    return above / total * (1 - statistics.zero_fraction)
