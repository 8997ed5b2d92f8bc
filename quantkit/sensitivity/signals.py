"""Blobs against those of the fp32 network: noise and direction."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from quantkit.sensitivity.figures import Signal
from quantkit.tuning.sqnr import Outputs
from quantkit.tuning.suffix import Array, Blobs

_FAINT = 1e-3  # A map with less of the largest peak holds no keypoint to be moved.


def signal(reference: Sequence[Outputs], got: Sequence[Outputs]) -> Signal | None:
    """Compare blobs over several crops at once.

    Args:
        reference: The blobs of each crop in fp32.
        got: The same blobs of another network.

    Returns:
        10 log10(sum r^2 / sum (r - q)^2) and sum r q / sqrt(sum r^2 sum q^2); None where a value
        is not finite, or where there is noise but no signal.

    Example:
        >>> r, q = np.ones((1, 10), np.float32), np.full((1, 10), 0.9, np.float32)
        >>> found = signal([(r,)], [(q,)])
        >>> round(found.sqnr_db, 3), round(found.cosine, 6)
        (20.0, 1.0)
    """
    power = noise = other = product = 0.0
    for one, two in zip(reference, got, strict=True):
        for r, q in zip(one, two, strict=True):
            power += _dot(r, r)
            noise += _dot(difference := r - q, difference)
            other += _dot(q, q)
            product += _dot(r, q)
    if not math.isfinite(noise + other) or (noise > 0 and power == 0):
        return None
    if noise == 0:
        return Signal(None, 1.0)
    cosine = product / math.sqrt(power * other) if other > 0 else 0.0
    return Signal(round(10 * math.log10(power / noise), 4), round(min(cosine, 1.0), 8))


def peak_noise_db(reference: Sequence[Outputs], got: Sequence[Outputs]) -> float | None:
    """Compare the maps of keypoints one by one, each by its own peak.

    -20 log10 of the mean over crops and maps of rms(r - q) / max(|r|). It foretells how far the
    keypoints agree better than the SQNR, in which the strongest maps outweigh all others.

    Args:
        reference: The outputs of each crop in fp32; maps are counted along their first axis.
        got: The same outputs of another network, finite.

    Returns:
        Decibels; None where nothing differs.

    Example:
        >>> r, q = np.ones((1, 1, 10), np.float32), np.full((1, 1, 10), 0.9, np.float32)
        >>> peak_noise_db([(r,)], [(q,)])
        20.0
    """
    ratios = [
        _rms(r - q) / np.maximum(np.abs(_maps(r)).max(axis=1), _FAINT * np.abs(r).max())
        for one, two in zip(reference, got, strict=True)
        for r, q in zip(one, two, strict=True)
        if r.any()
    ]
    mean = float(np.concatenate(ratios).mean()) if ratios else 0.0
    return round(-20 * math.log10(mean), 4) if mean > 0 else None


def values_of(blobs: Iterable[Blobs], names: Sequence[str]) -> list[Outputs]:
    """Order the blobs of each crop by name, as `signal` takes them."""
    return [tuple(one[name] for name in names) for one in blobs]


def _maps(values: Array) -> Array:
    return values.reshape(len(values), -1)


def _rms(values: Array) -> Array:
    root: Array = np.sqrt(np.square(_maps(values)).mean(axis=1))
    return root


def _dot(a: Array, b: Array) -> float:
    # In single precision: the sums of BLAS err by 1e-6 of a figure that is shown to 1e-3 dB.
    return float(np.vdot(a, b))
