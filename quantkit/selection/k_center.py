"""Persons of whom the network's blobs differ the most: every other one resembles one of them."""

import numpy as np

from quantkit.selection.candidates import Candidates
from quantkit.selection.features import pooled_features
from quantkit.selection.seeded_order import seeded_order


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose persons so that the farthest of the others is near to one that is chosen.

    The seed's first person comes first, then always the one that is farthest from all that are
    chosen (Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, 1985; Sener and
    Savarese, 1708.00489, take it for core sets): at most twice as far as the best choice leaves
    it. Distances are Euclidean, between `pooled_features`. Takes time in proportion to candidates
    times count. Of one seed, a smaller set lies within a larger one.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    points = pooled_features(candidates.activations())
    chosen = [seeded_order(candidates.persons, seed)[0]]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        step = points - points[chosen[-1]]
        np.minimum(nearest, np.einsum("ij,ij->i", step, step), out=nearest)
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
        candidates.progress("choosing", len(chosen), count)
    return sorted(chosen[:count])
