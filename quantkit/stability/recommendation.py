"""The smallest calibration set after which nothing changes beyond the noise.

A size has settled when three things hold against every larger size of the curve:

- Level. The mean SQNR and the mean AP drop differ by no more than 0.25 dB and 0.005, or than twice
  the standard error of the difference, but never by more than 1 dB and 0.02: noise beyond that
  hides what one looks for. The difference is paired: the sets of a seed lie within each other and
  are judged on the same crops, so that what they share cancels.
- Luck. The standard deviation of the SQNR over the seeds is at most 0.5 dB, or no more than twice
  that of the larger size: what more crops do not mend is no reason to take more of them. Where
  there is no larger size to show that, it must be at most 0.5 dB.
- Scales. The relative standard deviation of the median layer's scale is at most 5 %, or no more
  than twice that of the larger size.

Sets that are a good part of the pool resemble each other whatever the seed. So deviations are
divided by sqrt(1 - size / pool), the factor by which drawing without replacement lessens that of a
mean (Cochran, Sampling Techniques, 1977, chapter 2), and against sizes beyond half of the pool
only the level is compared.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from quantkit.stability.points import Point
from quantkit.stability.summary import SizeSummary, summarised

LEVEL_DB: Final = (0.25, 1.0)
"""Changes of the mean SQNR that are always allowed, and that noise may excuse at most."""
LEVEL_AP: Final = (0.005, 0.02)
LUCK_DB: Final = 0.5
LUCK_SCALES: Final = 0.05
_ERRORS: Final = 2.0
_RATIO: Final = 2.0


@dataclass(frozen=True)
class Recommendation:
    """A size, or why there is none.

    Attributes:
        size: The smallest size that has settled; None where none has.
        reason: A sentence for the user.
    """

    size: int | None
    reason: str


def recommend(points: Sequence[Point], pool: int) -> Recommendation:
    """Find the smallest size after which nothing changes beyond the noise.

    The largest size has nothing to be compared with and is never recommended.

    Args:
        points: Of the same seeds for every size.
        pool: How many persons the sets were drawn from.
    """
    summaries = summarised(points, pool)
    if len(summaries) < 2:
        return Recommendation(None, "One size alone does not tell whether larger ones differ.")
    if any(one.sqnr_db is None for one in summaries):
        return Recommendation(None, _unknown(points))
    curve = _Curve(points, summaries, pool)
    for place, one in enumerate(summaries[:-1]):
        if not any(curve.changes(one, larger) for larger in summaries[place + 1 :]):
            return Recommendation(one.size, curve.settled(place))
    return Recommendation(None, curve.unsettled())


class _Change(NamedTuple):
    """A paired difference of means over the seeds, and what it may be."""

    value: float
    allowed: float


class _Curve:
    def __init__(
        self, points: Sequence[Point], summaries: Sequence[SizeSummary], pool: int
    ) -> None:
        self._points = {(one.size, one.seed): one for one in points}
        self._seeds = sorted({one.seed for one in points})
        self._summaries = summaries
        self._pool = pool

    def changes(self, small: SizeSummary, large: SizeSummary) -> list[str]:
        """Say what differs beyond the noise between two sizes."""
        return list(self._changes(small, large))

    def settled(self, place: int) -> str:
        """Say what the recommendation rests on."""
        one, larger = self._summaries[place], self._summaries[place + 1 :]
        changes = [self._change(one, other, "sqnr_db", LEVEL_DB) for other in larger]
        change = max((c for c in changes if c is not None), key=lambda c: abs(c.value) / c.allowed)
        assert one.sqnr_db is not None
        text = (
            f"Up to {larger[-1].size} crops the mean SQNR changes by {change.value:+.2f} dB against"
            f" {one.size}, where {change.allowed:.2f} dB count as noise; the seeds of {one.size}"
            f" scatter by {one.sqnr_db.deviation:.2f} dB"
        )
        if one.median_scale_spread is not None:
            text += f" and the median layer's scale by {one.median_scale_spread:.1%}"
        limits = f"{LUCK_DB} dB and {LUCK_SCALES:.0%}"
        return f"{text}, which is below {limits} or not halved by more crops."

    def unsettled(self) -> str:
        """Say what still changes at the end of the curve, and what to do."""
        last, largest = self._summaries[-2:]
        what = "; ".join(self.changes(last, largest))
        assert last.sqnr_db is not None
        assert largest.sqnr_db is not None
        remedy = f"Take {largest.size}, or more persons"
        if largest.sqnr_db.mean < last.sqnr_db.mean - LEVEL_DB[0]:
            remedy = (
                "More crops make it worse: let sets be measured (strategy measured), leave"
                " outliers out, or take a method that clips them"
            )
        return f"From {last.size} to {largest.size} crops {what}. {remedy}."

    def _changes(self, small: SizeSummary, large: SizeSummary) -> Iterator[str]:
        level = self._change(small, large, "sqnr_db", LEVEL_DB)
        if level is not None and abs(level.value) > level.allowed:
            yield f"the mean SQNR changes by {level.value:+.2f} dB, beyond {level.allowed:.2f} dB"
        drop = self._change(small, large, "ap_drop", LEVEL_AP)
        if drop is not None and abs(drop.value) > drop.allowed:
            yield f"the mean AP drop changes by {drop.value:+.4f}, beyond {drop.allowed:.4f}"
        assert small.sqnr_db is not None
        assert large.sqnr_db is not None
        before, after = small.sqnr_db.deviation, large.sqnr_db.deviation
        if not self._comparable(small):
            apart = self._drawn_apart(small, before)
            if apart > LUCK_DB:
                yield (
                    f"seeds of {small.size} scatter by {before:.2f} dB, {apart:.2f} dB if they"
                    f" shared no persons, beyond {LUCK_DB:.2f} dB"
                )
            return
        if self._scatters(small, large, before, after, LUCK_DB):
            yield f"seeds scatter by {after:.2f} dB where they scattered by {before:.2f} dB"
        one, two = small.median_scale_spread, large.median_scale_spread
        if one is None or two is None:
            return
        if self._scatters(small, large, one, two, LUCK_SCALES):
            yield f"the median layer's scale scatters by {two:.1%} where it did by {one:.1%}"

    def _change(
        self,
        small: SizeSummary,
        large: SizeSummary,
        figure: Literal["sqnr_db", "ap_drop"],
        limits: tuple[float, float],
    ) -> _Change | None:
        pairs = [
            (self._figure(small, s, figure), self._figure(large, s, figure)) for s in self._seeds
        ]
        differences = [b - a for a, b in pairs if a is not None and b is not None]
        if len(differences) < len(pairs):
            return None
        error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
        allowed = max(limits[0], min(_ERRORS * error, limits[1]))
        return _Change(float(np.mean(differences)), allowed)

    def _figure(
        self, summary: SizeSummary, seed: int, figure: Literal["sqnr_db", "ap_drop"]
    ) -> float | None:
        point = self._points[summary.size, seed]
        return point.sqnr_db if figure == "sqnr_db" else point.ap_drop

    def _scatters(
        self, small: SizeSummary, large: SizeSummary, before: float, after: float, least: float
    ) -> bool:
        if 2 * large.size > self._pool:
            return False
        limit = max(least, _RATIO * self._drawn_apart(large, after))
        return self._drawn_apart(small, before) > limit

    def _comparable(self, small: SizeSummary) -> bool:
        """Tell whether a larger size can show what more crops do to the scatter."""
        larger = [one.size for one in self._summaries if one.size > small.size]
        return 2 * larger[0] <= self._pool

    def _drawn_apart(self, one: SizeSummary, deviation: float) -> float:
        """The deviation of sets that do not share persons for want of others."""
        return deviation / math.sqrt(1 - one.size / self._pool)


def _unknown(points: Sequence[Point]) -> str:
    bad = [one for one in points if one.sqnr_db is None]
    if not bad:
        return "One seed alone does not tell by how much tables scatter; take at least two."
    first = f"{bad[0].size} crops of seed {bad[0].seed}"
    return f"{len(bad)} tables have no SQNR that can be compared, the first is that of {first}."
