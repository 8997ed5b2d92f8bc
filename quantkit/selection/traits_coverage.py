"""Which kinds of persons a calibration set holds, and of how many there were."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.traits import UNKNOWN, Array, Traits

_EDGES: Final[Mapping[str, tuple[float, ...]]] = {
    "size": (32, 96, 192),
    "aspect": (0.4, 0.7, 1),
    "keypoints": (1, 9, 15),
    "truncation": (0.001, 0.2),
    "crowding": (0.1, 0.5),
    "brightness": (64, 96, 128, 160),
    "contrast": (32, 64),
}
"""Where the strata of each trait meet. The first two of size are COCO's small, medium and large."""

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "truncation": ("none", "< 0.2", ">= 0.2"),
    "keypoints": ("none", "1 to 8", "9 to 14", "15 to 17"),
}


def coverage_of(
    traits: Traits, chosen: Sequence[int] | NDArray[np.integer[Any]]
) -> dict[str, dict[str, dict[str, int]]]:
    """Count the persons of each stratum in the pool and in the set.

    The strata are the same for every pool: sizes in pixels, aspects (width by height), numbers of
    visible keypoints, shares for truncation and crowding, grey levels. Those that the pool has
    nobody in are left out.

    Args:
        traits: Of the pool.
        chosen: Indices of those in the set.

    Returns:
        Trait to stratum to `{"pool": persons, "set": persons}`, ready for JSON.

    Example:
        >>> pair = Traits(*np.array([[20, 40], [2, 2], [-1, 3], [0, 0], [0, 0], [9, 9], [1, 1]]))
        >>> coverage_of(pair, [1])["size"]
        {'< 32': {'pool': 1, 'set': 0}, '32 to 96': {'pool': 1, 'set': 1}}
    """
    kept = np.asarray(chosen, np.intp)
    return {name: _counted(name, values, kept) for name, values in traits.named().items()}


def _counted(name: str, values: Array, chosen: NDArray[np.intp]) -> dict[str, dict[str, int]]:
    strata = np.searchsorted(_EDGES[name], values, side="right") + 1
    strata[values == UNKNOWN] = 0
    labels = ("unknown", *(_NAMES.get(name) or _labels(_EDGES[name])))
    pool = np.bincount(strata, minlength=len(labels))
    found = np.bincount(strata[chosen], minlength=len(labels))
    return {
        label: {"pool": int(there), "set": int(taken)}
        for label, there, taken in zip(labels, pool, found, strict=True)
        if there
    }


def _labels(edges: Sequence[float]) -> tuple[str, ...]:
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return (f"< {edges[0]:g}", *between, f">= {edges[-1]:g}")
