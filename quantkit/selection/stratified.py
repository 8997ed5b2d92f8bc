"""A sample whose boxes are spread as those of the pool are: by size, aspect, light and the rest."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.progress import Progress
from quantkit.selection.candidates import Candidates
from quantkit.selection.seeded_order import seeded_order
from quantkit.selection.traits_strata import Stratification, residual, stratifications

_SWEEPS: Final = 4


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose persons whose traits are distributed as those of all candidates.

    It starts from the seed's random sample and exchanges one person after the other for the one
    that brings the sample's strata nearest to the pool's (Fedorov's exchange, Theory of Optimal
    Experiments, 1972), until none is better or all have had their turn four times. All distances
    are integers: the same traits give the same choice on every machine.

    Takes time in proportion to candidates times count.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    order = np.array(seeded_order(candidates.persons, seed), np.intp)
    if count >= len(order):
        return list(range(len(order)))
    search = _Exchange(stratifications(candidates.traits().take(order)), count)
    for _ in range(_SWEEPS):
        if not search.sweep(candidates.progress):
            break
    return sorted(order[search.chosen].tolist())


class _Exchange:
    """A sample on its way to the pool's strata; persons are numbered in the seed's order."""

    def __init__(self, parts: tuple[Stratification, ...], count: int) -> None:
        self.chosen = np.arange(count, dtype=np.intp)
        self._parts = parts
        self._residuals = [residual(part, self.chosen) for part in parts]
        self._free = np.ones(len(parts[0].stratum) if parts else count, bool)
        self._free[:count] = False

    def sweep(self, progress: Progress) -> bool:
        """Give every chosen person its turn; tells whether any was exchanged."""
        exchanged = False
        for place in range(len(self.chosen)):
            exchanged |= self._exchange(place)
            progress("choosing", place + 1, len(self.chosen))
        return exchanged

    def _exchange(self, place: int) -> bool:
        leaving = int(self.chosen[place])
        self._count(leaving, -1)
        self._free[leaving] = True
        gaps = self._gaps()
        # The lowest rank of the seed among the nearest; whoever is there stays unless beaten.
        gaps[~self._free] = np.iinfo(np.int64).max
        coming = int(np.argmin(gaps))
        if gaps[coming] == gaps[leaving]:
            coming = leaving
        self._count(coming, 1)
        self._free[coming] = False
        self.chosen[place] = coming
        return coming != leaving

    def _gaps(self) -> NDArray[np.int64]:
        """What each person would add to the distance, but for a constant, shape (n,)."""
        gaps = np.zeros(len(self._free), np.int64)
        for part, gap in zip(self._parts, self._residuals, strict=True):
            added = 2 * (part.kernel @ gap) + len(self._free) * part.kernel.diagonal()
            gaps += added[part.stratum]
        return gaps

    def _count(self, person: int, sign: int) -> None:
        for part, gap in zip(self._parts, self._residuals, strict=True):
            gap[part.stratum[person]] += sign * len(self._free)
