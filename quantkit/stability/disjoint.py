"""Whether two calibration sets that share no crop lead to the same table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

TOLERANCE: Final = 0.10
"""Share by which the scales of a layer may differ before it is named."""


@dataclass(frozen=True)
class Disagreement:
    """A layer to which two tables give different activation scales.

    Attributes:
        layer: Its name.
        first: Its scale in the first table; None where that leaves it in fp32.
        second: The same in the second table.
        ratio: The second by the first; None where one is missing.
    """

    layer: str
    first: float | None
    second: float | None
    ratio: float | None


@dataclass(frozen=True)
class DisjointSets:
    """Two sets without a common crop, from one seed's order, and their tables.

    Attributes:
        size: Crops of each set.
        seed: Seed of the order: the first set is its first `size` persons, the second the next.
        layers: How many layers have a scale in both tables.
        median_ratio: Of the larger scale to the smaller, of the median layer.
        disagreements: Layers off by more than the tolerance, worst first.
        sqnr_db: SQNR in dB of the second table's int8 network against the outputs of the first's;
            None where nothing differs or the outputs are not finite.
    """

    size: int
    seed: int
    layers: int
    median_ratio: float | None
    disagreements: tuple[Disagreement, ...]
    sqnr_db: float | None


def compare_disjoint(
    first: Mapping[str, float], second: Mapping[str, float], tolerance: float = TOLERANCE
) -> tuple[Disagreement, ...]:
    """Find the layers on whose activation scale two tables do not agree.

    Args:
        first: Activation scale by layer, as in `CalibrationTable.activation_scales`.
        second: The same of a table from other crops.
        tolerance: Share by which the larger of two scales may exceed the smaller.

    Returns:
        Layers that one table leaves in fp32 first, then the largest ratio.

    Example:
        >>> compare_disjoint({"a": 10.0, "b": 10.0}, {"a": 12.5, "b": 10.5})
        (Disagreement(layer='a', first=10.0, second=12.5, ratio=1.25),)
    """
    names = list(dict.fromkeys((*first, *second)))
    found = [_compared(name, first.get(name), second.get(name)) for name in names]
    found = [one for one in found if _off(one) > tolerance]
    return tuple(sorted(found, key=_off, reverse=True))


def median_ratio(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Find the ratio of the larger scale to the smaller, of the median layer that both have.

    Example:
        >>> median_ratio({"a": 10.0, "b": 10.0}, {"a": 12.5, "b": 8.0})
        1.25
    """
    pairs = [_compared(name, first[name], second[name]) for name in first if name in second]
    return float(np.median([_off(one) + 1 for one in pairs])) if pairs else None


def _compared(name: str, first: float | None, second: float | None) -> Disagreement:
    ratio = None if first is None or second is None else second / first
    return Disagreement(name, first, second, ratio)


def _off(one: Disagreement) -> float:
    return math.inf if one.ratio is None else max(one.ratio, 1 / one.ratio) - 1
