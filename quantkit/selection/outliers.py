"""Candidates that alone set the largest value of a layer's input, far above all others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.octaves import SMALLEST

FACTOR: Final = 1.5
"""How far above the next candidate a largest value lies that is called an outlier."""

_RARE: Final = 50
"""One candidate of so many may be an outlier of a blob, or one where there are fewer."""


@dataclass(frozen=True)
class Outlier:
    """A candidate with values that no other comes near to.

    Attributes:
        index: Of the candidate.
        layers: The layers whose inputs hold these values, those with the largest factor first.
        factor: How many times the next candidate's value the largest of them is.
    """

    index: int
    layers: tuple[str, ...]
    factor: float

    def to_json(self, annotation_id: int, file_name: str) -> dict[str, Any]:
        """Make the JSON object that names it."""
        return {
            "annotation_id": annotation_id,
            "file_name": file_name,
            "layers": list(self.layers),
            "factor": round(self.factor, 4),
        }


def outliers(activations: Activations, factor: float = FACTOR) -> tuple[Outlier, ...]:
    """Find the candidates that set the range of a blob, `factor` times above all others.

    Of each blob, one candidate in fifty may stand apart: the largest values, down to the last that
    is at least `factor` times the next one.

    Args:
        activations: Of a pool.
        factor: Least ratio of two neighbouring values between which a gap is seen.

    Returns:
        The largest factor first.
    """
    found: dict[int, dict[str, float]] = {}
    most = max(1, len(activations) // _RARE)
    for place, layers in enumerate(activations.layers):
        for index, ratio in _apart(activations.absmax[:, place], most, factor).items():
            found.setdefault(index, {}).update(dict.fromkeys(layers, ratio))
    rows = [_outlier(index, layers) for index, layers in found.items()]
    return tuple(sorted(rows, key=lambda one: (-one.factor, one.index)))


def _apart(absmax: NDArray[np.float32], most: int, factor: float) -> dict[int, float]:
    """The candidates above the lowest gap, each with its ratio to the value below that."""
    order = np.argsort(-absmax, kind="stable")[: most + 1]
    values = np.maximum(absmax[order].astype(np.float64), float(SMALLEST))
    gaps = np.flatnonzero(values[:-1] >= factor * values[1:])
    if not gaps.size:
        return {}
    last = int(gaps[-1])
    return {int(order[k]): float(values[k] / values[last + 1]) for k in range(last + 1)}


def _outlier(index: int, layers: Mapping[str, float]) -> Outlier:
    names = sorted(layers, key=lambda name: -layers[name])
    return Outlier(index, tuple(names), layers[names[0]])
