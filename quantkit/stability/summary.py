"""What the tables of one size have in common over the seeds, and by how much they scatter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.stability.points import Point


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds.

    Attributes:
        mean: Its mean.
        deviation: Its standard deviation over the seeds, with one less than their number as the
            divisor; half the distance of two.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Sum up; None with fewer than two values, or where one of them is missing.

        Example:
            >>> Spread.of([1.0, 2.0, 3.0])
            Spread(mean=2.0, deviation=1.0)
        """
        known = list(values)
        if len(known) < 2 or any(one is None for one in known):
            return None
        numbers = np.array(known, np.float64)
        return cls(float(numbers.mean()), float(numbers.std(ddof=1)))


@dataclass(frozen=True)
class SizeSummary:
    """The tables of one size.

    Attributes:
        size: Number of crops of each set.
        shared: Share of the persons that two of these sets have in common on average: the larger,
            the less the seeds differ, whatever the size does.
        sqnr_db: Output SQNR over the seeds.
        ap_drop: AP drop over the seeds.
        oks: OKS against fp32 over the seeds.
        scale_spreads: By layer, the standard deviation of its activation scale over the seeds, in
            shares of the mean; the layers that all seeds have in int8.
    """

    size: int
    shared: float
    sqnr_db: Spread | None
    ap_drop: Spread | None
    oks: Spread | None
    scale_spreads: Mapping[str, float]

    @property
    def median_scale_spread(self) -> float | None:
        """That of the median layer."""
        spreads = list(self.scale_spreads.values())
        return float(np.median(spreads)) if spreads else None

    @property
    def worst_layer(self) -> str | None:
        """The layer whose scale scatters most."""
        return max(self.scale_spreads, key=self.scale_spreads.__getitem__, default=None)


def summarised(points: Sequence[Point], pool: int) -> tuple[SizeSummary, ...]:
    """Sum the points of each size up, smallest size first.

    Args:
        points: Of the same seeds for every size.
        pool: How many persons the sets were drawn from.
    """
    sizes = sorted({point.size for point in points})
    return tuple(_summary([one for one in points if one.size == size], pool) for size in sizes)


def _summary(points: Sequence[Point], pool: int) -> SizeSummary:
    size = points[0].size
    common = [name for name in points[0].scales if all(name in one.scales for one in points)]
    spreads = {name: Spread.of(one.scales[name] for one in points) for name in common}
    return SizeSummary(
        size=size,
        shared=size / pool,
        sqnr_db=Spread.of(one.sqnr_db for one in points),
        ap_drop=Spread.of(one.ap_drop for one in points),
        oks=Spread.of(one.oks for one in points),
        scale_spreads={
            name: one.deviation / one.mean for name, one in spreads.items() if one is not None
        },
    )
