"""Persons whose mean is the pool's: the network's blobs look for them as they do on average."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.candidates import Candidates
from quantkit.selection.features import Points, pooled_features
from quantkit.selection.seeded_order import seeded_order


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose persons one after the other, each so that the mean comes nearest to the pool's.

    That is herding (Welling, Herding Dynamical Weights to Learn, 2009) in the space of
    `pooled_features`. Takes time in proportion to candidates times count. The seed decides between
    equals. A smaller set lies within a larger one.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    order = np.array(seeded_order(candidates.persons, seed), np.intp)
    points = pooled_features(candidates.activations())
    chosen: list[int] = []
    for index in _herded(points, order, min(count, len(order))):
        chosen.append(index)
        candidates.progress("choosing", len(chosen), count)
    return sorted(chosen)


def _herded(points: Points, order: NDArray[np.intp], count: int) -> Iterator[int]:
    """Choose among points whose mean is 0, of equals the first in the order."""
    length = np.einsum("ij,ij->i", points, points)
    total = np.zeros(points.shape[1], np.float32)
    chosen: list[int] = []
    for _ in range(count):
        gap = length + 2 * (points @ total)
        gap[chosen] = np.inf
        chosen.append(int(order[np.argmin(gap[order])]))
        total += points[chosen[-1]]
        yield chosen[-1]
