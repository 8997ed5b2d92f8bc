"""Signal to quantization noise ratio of a network's outputs."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Outputs = tuple[NDArray[np.float32], ...]

EXACT: Final = "exact"
"""Stands for an infinite SQNR, in JSON and in print: the outputs are equal."""

NOT_FINITE: Final = "not finite"
"""Stands for an SQNR of minus infinity: the noise is not finite, or there is no signal."""


def sqnr_db(reference: Sequence[Outputs], quantized: Sequence[Outputs]) -> float:
    """Compare outputs with those of the fp32 network, over several crops at once.

    10 log10(sum r^2 / sum (r - q)^2), summed over crops, outputs and elements; see Pandey et al.,
    "A Practical Mixed Precision Algorithm for Post-Training Quantization" (2302.05397).

    Args:
        reference: The fp32 outputs of each crop.
        quantized: The outputs of the quantized network, of the same shapes.

    Returns:
        Decibels; infinity where nothing differs, minus infinity where the noise is not finite.

    Example:
        >>> r, q = np.ones((1, 10), np.float32), np.full((1, 10), 0.9, np.float32)
        >>> round(sqnr_db([(r,)], [(q,)]), 3)
        20.0
    """
    powers = [_powers(*pair) for pair in zip(reference, quantized, strict=True)]
    return _decibels(np.sum(powers, axis=(0, 1)))


def sqnr_by_output(reference: Sequence[Outputs], quantized: Sequence[Outputs]) -> tuple[float, ...]:
    """Compare each output with that of the fp32 network, over several crops at once.

    Args:
        reference: The fp32 outputs of each crop.
        quantized: The outputs of the quantized network, of the same shapes.

    Returns:
        Decibels of each output, as `sqnr_db` gives them.

    Example:
        >>> r, q = np.ones((1, 10), np.float32), np.full((1, 10), 0.9, np.float32)
        >>> [round(db, 3) for db in sqnr_by_output([(r, r)], [(r, q)])]
        [inf, 20.0]
    """
    powers = [_powers(*pair) for pair in zip(reference, quantized, strict=True)]
    return tuple(map(_decibels, np.sum(powers, axis=0)))


def worst_db(reference: Sequence[Outputs], quantized: Sequence[Outputs]) -> float:
    """Give the SQNR of the output that has the lowest, so that a large output hides no other.

    An output that is zero on all crops has no signal, so it is left out, unless its noise is not
    finite.

    Args:
        reference: The fp32 outputs of each crop.
        quantized: The outputs of the quantized network, of the same shapes.

    Returns:
        Decibels, as `sqnr_db` gives them.

    Example:
        >>> r, q, none = np.ones((1, 10)), np.full((1, 10), 0.9), np.zeros((1, 10))
        >>> round(worst_db([(100 * r, r, none)], [(100 * r, q, none + 1)]), 3)
        20.0
    """
    powers = [_powers(*pair) for pair in zip(reference, quantized, strict=True)]
    sums = np.sum(powers, axis=0)
    told = [one for one in sums if one[0] > 0 or not math.isfinite(one[1])]
    return min(map(_decibels, told if told else sums))


def decibels_text(decibels: float) -> str:
    """Write an SQNR for a person.

    Example:
        >>> decibels_text(20.04), decibels_text(math.inf), decibels_text(-math.inf)
        ('20.0 dB', 'exact', 'not finite')
    """
    if math.isfinite(decibels):
        return f"{decibels:.1f} dB"
    return EXACT if decibels > 0 else NOT_FINITE


def decibels_json(decibels: float, digits: int = 4) -> float | str:
    """Write an SQNR for JSON, which has no infinity.

    Example:
        >>> decibels_json(20.04), decibels_json(math.inf)
        (20.04, 'exact')
    """
    if math.isfinite(decibels):
        return round(decibels, digits)
    return EXACT if decibels > 0 else NOT_FINITE


def decibels_from_json(value: float | str) -> float:
    """Read an SQNR that `decibels_json` wrote.

    Raises:
        ValueError: It is neither a number nor one of the two words.

    Example:
        >>> decibels_from_json(20.04), decibels_from_json("exact")
        (20.04, inf)
    """
    if isinstance(value, str):
        return {EXACT: math.inf, NOT_FINITE: -math.inf}.get(value) or float(value)
    return float(value)


def _powers(expected: Outputs, got: Outputs) -> list[tuple[float, float]]:
    """Sum the squares of signal and noise, for each output."""
    pairs = []
    for r, q in zip(expected, got, strict=True):
        exact = r.astype(np.float64)
        pairs.append((float(np.square(exact).sum()), float(np.square(exact - q).sum())))
    return pairs


def _decibels(powers: NDArray[np.float64]) -> float:
    signal, noise = map(float, powers)
    if not math.isfinite(noise):
        return -math.inf
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
