"""How far a conversion moves a network's outputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import GateFailed

Outputs = Sequence[NDArray[np.float32]]
"""A network's outputs for one crop."""


@dataclass(frozen=True)
class Difference:
    """The largest difference of two networks' outputs over some crops.

    Args:
        max_abs: Largest absolute difference of two values.
        relative: The same as a share of the output's range, max - min over all crops; the worst
            output counts.
        sqnr_db: Signal to noise ratio in decibels, 10 log10(sum(before^2) / sum((before-after)^2));
            the worst output counts; infinite where nothing differs.
        crops: How many crops were compared.
    """

    max_abs: float
    relative: float
    sqnr_db: float
    crops: int


def compare(before: Sequence[Outputs], after: Sequence[Outputs]) -> Difference:
    """Compare two networks' outputs for the same crops.

    Args:
        before: Outputs of the one, crop by crop.
        after: Outputs of the other.

    Raises:
        GateFailed: The outputs differ in number or shape.

    Example:
        >>> compare([[np.array([0.0, 4.0])]], [[np.array([0.0, 3.0])]])
        Difference(max_abs=1.0, relative=0.25, sqnr_db=12.041199826559248, crops=1)
    """
    shapes = [[array.shape for array in outputs] for outputs in (*before, *after)]
    if len(before) != len(after) or any(shape != shapes[0] for shape in shapes):
        message = f"the outputs changed their shapes: {shapes[0]} became {shapes[-1]}"
        raise GateFailed(message)
    pairs = [
        (np.stack([crop[number] for crop in before]), np.stack([crop[number] for crop in after]))
        for number in range(len(before[0]))
    ]
    return Difference(
        max_abs=max(float(np.abs(b - a).max()) for b, a in pairs),
        relative=max(_relative(b, a) for b, a in pairs),
        sqnr_db=min(_sqnr_db(b, a) for b, a in pairs),
        crops=len(before),
    )


def check_difference(step: str, difference: Difference, bound: float) -> None:
    """Fail where a conversion moved the outputs too far.

    Args:
        step: Name of the conversion.
        difference: What it moved.
        bound: Largest share of the output's range that counts as rounding.

    Raises:
        GateFailed: The bound does not hold.
    """
    if not difference.relative <= bound:
        message = (
            f"export step '{step}' moves an output by {difference.relative:.2g} of its range "
            f"({difference.max_abs:.3g}, SQNR {difference.sqnr_db:.1f} dB), "
            f"more than {bound:g}: the converted network is not the one that was given"
        )
        raise GateFailed(message)


def _relative(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    distance = float(np.abs(before - after).max())
    spread = float(before.max() - before.min())
    return distance / spread if spread else math.inf if distance else 0.0


def _sqnr_db(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    signal = float(np.square(before, dtype=np.float64).sum())
    noise = float(np.square((before - after), dtype=np.float64).sum())
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
