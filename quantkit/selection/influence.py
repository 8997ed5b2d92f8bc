"""Persons whose removal would move the scales the most."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.candidates import Candidates
from quantkit.selection.magnitude_bins import magnitude_centres
from quantkit.selection.seeded_order import seeded_order

_LEVELS: Final = 127
_SMALLEST: Final = 1e-12


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose the persons with the most influence on the thresholds of the pool.

    The threshold of a blob is the one with the least squared error: what is clipped against what
    127 levels round (OCTAV, 2206.06501). Zeros are in one half octave with all that is below
    2**-11.4 and are rounded as that is; OCTAV leaves them out, which clips less of a sparse blob. A
    blob that is zero for all has no threshold to move. By how much one person moves it follows to
    the first order from what this person adds to the derivative of the error (Hampel, The Influence
    Curve and its Role in Robust Estimation, 1974); no threshold is searched again. A person's
    influence is the sum over all blobs of the shares by which it moves their thresholds, up or
    down. The seed decides between equals. A smaller set lies within a larger one.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    order = np.array(seeded_order(candidates.persons, seed), np.intp)
    found = influences(candidates.activations())[order]
    most = np.argsort(-found, kind="stable")[:count]
    return sorted(order[most].tolist())


def influences(activations: Activations) -> NDArray[np.float64]:
    """Measure by how much each candidate moves the thresholds of a pool.

    Returns:
        Shape (n,): the sum over the blobs of |dT| / T, times the number of candidates.
    """
    pool = activations.pool_shares()
    thresholds = least_error_thresholds(pool)
    slopes = _slopes(thresholds) * pool[:, 1:].any(axis=1, keepdims=True)
    bends = _bends(thresholds, pool)
    moved = [
        np.abs(np.einsum("nbj,bj->nb", activations.shares(rows), slopes)) / (bends * thresholds)
        for rows in activations.blocks()
    ]
    return np.asarray(np.concatenate(moved).sum(axis=1))


def least_error_thresholds(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the threshold of the least squared error: where its derivative, which rises, is zero.

    Between two centres the derivative is a line. As it never falls, its zero is the largest of the
    zeros of these lines, each no farther than the end of its line.

    Args:
        shares: Of each blob's values in each half octave, shape (blobs, 48).

    Returns:
        Shape (blobs,).
    """
    centres = magnitude_centres()
    clipped = _beyond(shares)
    kept = shares.sum(axis=1, keepdims=True) - clipped
    zeros = _beyond(shares * centres) / (kept / (12 * _LEVELS**2) + clipped)
    ends = np.append(centres[1:], np.inf)
    return np.asarray(np.maximum(np.minimum(zeros, ends).max(axis=1), _SMALLEST))


def _beyond(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum up what lies beyond each half octave, shape (blobs, 48)."""
    sums = np.cumsum(shares[:, :0:-1], axis=1)[:, ::-1]
    return np.pad(sums, ((0, 0), (0, 1)))


def _slopes(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a value of each half octave adds to the derivative of the error, shape (blobs, 48)."""
    beyond = magnitude_centres() - thresholds[:, None]
    rounding = thresholds[:, None] / (6 * _LEVELS**2)
    return np.where(beyond > 0, -2 * beyond, rounding)


def _bends(thresholds: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second derivative of the pool's error, shape (blobs,)."""
    above = magnitude_centres() > thresholds[:, None]
    return np.asarray((pool * np.where(above, 2.0, 1 / (6 * _LEVELS**2))).sum(axis=1))
