"""Strata of a pool: what a sample has to spread over, and how far it is from the pool's spread."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.traits import Array, Traits

Counts = NDArray[np.int64]

_FINE, _COARSE = 16, 3
_PAIRED: Final = ("size", "aspect", "keypoints", "truncation", "crowding", "brightness")


@dataclass(frozen=True, eq=False)
class Stratification:
    """One way to part the pool into strata.

    Attributes:
        stratum: The stratum of each person, shape (n,).
        kernel: What two strata have in common, shape (strata, strata): the distance between two
            counts whose difference is d is d' kernel d.
    """

    stratum: NDArray[np.intp]
    kernel: Counts

    def counts(self, chosen: NDArray[np.integer[Any]]) -> Counts:
        """Count the persons of each stratum among `chosen`, shape (strata,)."""
        found: Counts = np.bincount(self.stratum[chosen], minlength=len(self.kernel))
        return found


def stratifications(traits: Traits) -> tuple[Stratification, ...]:
    """Part a pool by each trait, and by each two of them together.

    A trait alone is cut at its quantiles into up to 16 strata, and its kernel counts the cuts that
    two strata lie above, so that the distance is that of the cumulative counts (Cramer-von Mises)
    and strata beside each other are nearly the same. Two traits are cut at their terciles into up
    to 9 strata that have nothing in common. Contrast stands alone: it goes with brightness.
    """
    return tuple(_alone(traits)) + tuple(_together(traits))


def residual(part: Stratification, chosen: NDArray[np.integer[Any]]) -> Counts:
    """Count what `chosen` has too much of, times the number of persons in the pool."""
    pool = np.bincount(part.stratum, minlength=len(part.kernel))
    return part.counts(chosen) * len(part.stratum) - pool * len(chosen)


def _alone(traits: Traits) -> Iterator[Stratification]:
    for values in traits.named().values():
        stratum, count = _cut(values, _FINE)
        if count > 1:
            places = np.arange(count)
            yield Stratification(stratum, np.minimum.outer(places, places).astype(np.int64))


def _together(traits: Traits) -> Iterator[Stratification]:
    named = traits.named()
    cuts = [_cut(named[name], _COARSE) for name in _PAIRED]
    for (first, rows), (second, columns) in combinations(cuts, 2):
        if rows > 1 and columns > 1:
            kernel = np.eye(rows * columns, dtype=np.int64)
            yield Stratification(first * columns + second, kernel)


def _cut(values: Array, parts: int) -> tuple[NDArray[np.intp], int]:
    """Cut values at their quantiles; equal values stay together.

    Returns:
        The stratum of each value, and the number of strata.
    """
    ordered = np.sort(values)
    edges = np.unique(ordered[np.arange(1, parts) * len(values) // parts])
    edges = edges[edges > ordered[0]]
    return np.searchsorted(edges, values, side="right"), len(edges) + 1
