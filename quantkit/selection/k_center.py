"""Persons of whom the network's blobs differ the most: every other one resembles one of them."""

import numpy as np

from quantkit.selection.candidates import Candidates
from quantkit.selection.features import pooled_features, squared_distances
from quantkit.selection.seeded_order import seeded_order


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose persons so that the farthest of the others is near to one that is chosen.

    The seed's first person comes first, then always the one that is farthest from all that are
    chosen (Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, 1985; Sener and
    Savarese, 1708.00489, take it for core sets): at most twice as far as the best choice leaves
    it. Distances are Euclidean, between `pooled_features`. Takes time in proportion to candidates
    times count. The seed decides between equals. Of one seed, a smaller set lies within a larger
    one.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    order = np.array(seeded_order(candidates.persons, seed), np.intp)
    points = pooled_features(candidates.activations())
    nearest = np.full(len(points), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        chosen.append(int(order[np.argmax(nearest[order])]))
        np.minimum(nearest, squared_distances(points, chosen[-1]), out=nearest)
        nearest[chosen] = -1
        candidates.progress("choosing", len(chosen), count)
    return sorted(chosen)
