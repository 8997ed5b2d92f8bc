"""Persons who together take every blob through the range and the magnitudes that the pool does."""

import heapq
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.candidates import Candidates
from quantkit.selection.octaves import SMALLEST, octaves
from quantkit.selection.seeded_order import seeded_order

_SHARES: Final = 0.1
"""What a half octave that is covered whole counts, in octaves of range."""


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose persons one after the other, each the one that covers most of what is not covered.

    Covered is, of each blob, the range up to the largest value of those chosen, in octaves above
    the median candidate's; and of each half octave the largest share of a candidate's values that
    lies in it, by the largest of all candidates: a half octave that is covered whole counts a tenth
    of an octave of range. Both are largest values, so what a person adds can only become less:
    those whose last known addition is beaten need not be looked at again (Minoux, Accelerated
    Greedy Algorithms, 1978), and the greedy choice covers at least 63 % of what the best one of as
    many persons does (Nemhauser et al., 1978). The seed decides between equals. A smaller set lies
    within a larger one.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    order = seeded_order(candidates.persons, seed)
    covered = _Covered(candidates.activations())
    ranks = {index: rank for rank, index in enumerate(order)}
    queue = [(-gain, ranks[index], index) for index, gain in enumerate(covered.gains())]
    heapq.heapify(queue)
    chosen: list[int] = []
    while queue and len(chosen) < count:
        _, rank, index = heapq.heappop(queue)
        entry = (-covered.gain(index), rank, index)
        if queue and entry > queue[0]:
            heapq.heappush(queue, entry)
            continue
        covered.add(index)
        chosen.append(index)
        candidates.progress("choosing", len(chosen), count)
    return sorted(chosen)


class _Covered:
    """What those who are chosen cover."""

    def __init__(self, activations: Activations) -> None:
        self._activations = activations
        self._range = octaves(np.median(activations.absmax, axis=0))
        most = [activations.shares(rows).max(axis=0) for rows in activations.blocks()]
        self._most = np.maximum(np.max(most, axis=0), SMALLEST)
        self._shares = np.zeros_like(self._most)

    def gains(self) -> NDArray[np.float64]:
        blocks = self._activations.blocks()
        return np.concatenate([self._gains(rows) for rows in blocks])

    def gain(self, index: int) -> float:
        return float(self._gains(slice(index, index + 1))[0])

    def add(self, index: int) -> None:
        rows = slice(index, index + 1)
        self._range = np.maximum(self._range, octaves(self._activations.absmax[index]))
        self._shares = np.maximum(self._shares, self._relative(rows)[0])

    def _gains(self, rows: slice) -> NDArray[np.float64]:
        further = np.maximum(octaves(self._activations.absmax[rows]) - self._range, 0)
        shares = np.maximum(self._relative(rows) - self._shares, 0)
        parts = further.sum(axis=1, dtype=np.float64), shares.sum(axis=(1, 2), dtype=np.float64)
        return np.asarray(parts[0] + _SHARES * parts[1])

    def _relative(self, rows: slice) -> NDArray[np.float32]:
        return np.asarray(self._activations.shares(rows) / self._most)
