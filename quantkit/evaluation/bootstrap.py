"""How sure an AP drop is: the same images, drawn again and again, for both networks.

A resample of images changes how often each match counts, not the matches: they are made once by
pycocotools, and every resample costs one weighted sum. Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13 (percentile intervals), on pairs of one image under both networks.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import InputError
from quantkit.evaluation.matches import Matches

RECALLS: Final = np.linspace(0.0, 1.0, 101)
"""The recalls at which COCO reads the precision."""


def drop_interval(
    baseline: Matches,
    other: Matches,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of the AP that one network loses against another, 95 % by default.

    Args:
        baseline: Matches of the network that the drop is measured against.
        other: Matches of the other network, on the same data set.
        resamples: How many times the images are drawn, each time as many as there are.
        seed: Of the draws; the same seed gives the same interval.
        level: Share of the drops that the interval holds.

    Returns:
        The percentiles that leave out as many drops below as above, at 95 % the 2.5th and the
        97.5th; a negative drop is a gain.

    Raises:
        InputError: No image asks for a person, so there is no AP.
        ValueError: The two are of different images.
    """
    if not np.array_equal(baseline.image_ids, other.image_ids):
        message = "the two networks were not evaluated on the same images"
        raise ValueError(message)
    drops = []
    for counts in _draws(baseline, other, resamples, seed):
        before = average_precision(baseline, counts)
        after = average_precision(other, counts)
        if before is not None and after is not None:
            drops.append(before - after)
    if not drops:
        message = "no person has a visible keypoint in the labels: evaluate with --no-labels"
        raise InputError(message)
    tail = 50 * (1 - level)
    low, high = np.percentile(drops, (tail, 100 - tail))
    return float(low), float(high)


def average_precision(matches: Matches, counts: NDArray[np.int64]) -> float | None:
    """AP of a data set in which each image occurs a given number of times.

    It equals COCOeval's AP on a file that repeats the images, since copies of a detection have one
    score and one outcome: at the end of their run, recall and the precision envelope are the same.

    Args:
        matches: Of the data set without repetition.
        counts: How often each image occurs, shape (I,).

    Returns:
        AP, or None where the images that occur hold no ground truth.
    """
    positives = int(counts @ matches.positives)
    if positives == 0:
        return None
    weights = counts[matches.images].astype(np.float64)
    found = np.cumsum(matches.hits * weights, axis=1)
    wrong = np.cumsum(matches.misses * weights, axis=1)
    precision = found / (wrong + found + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return float(np.mean([_read(*pair) for pair in zip(found / positives, envelope, strict=True)]))


def _read(recall: NDArray[np.float64], envelope: NDArray[np.float64]) -> float:
    """Mean precision over COCO's recalls, zero where a recall is not reached."""
    places = np.searchsorted(recall, RECALLS, side="left")
    reached = places[places < len(envelope)]
    return float(envelope[reached].sum()) / len(RECALLS)


def _draws(
    baseline: Matches, other: Matches, resamples: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """How often each image is drawn, shape (I,); images that cannot matter never are."""
    total = len(baseline.image_ids)
    seen = [np.bincount(one.images, minlength=total) for one in (baseline, other)]
    (drawn,) = np.nonzero(baseline.positives + seen[0] + seen[1])
    even = np.full(len(drawn), 1 / len(drawn))
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        counts = np.zeros(total, np.int64)
        counts[drawn] = generator.multinomial(len(drawn), even)
        yield counts
