import math
from itertools import permutations

import numpy as np
import pytest

from quantkit.sensitivity.signals import peak_noise_db, signal
from quantkit.sensitivity.spearman import ranks, spearman
from quantkit.tuning.sqnr import Outputs, sqnr_db


def blobs(seed: int) -> list[Outputs]:
    rng = np.random.default_rng(seed)
    shapes = ((17, 16, 12), (17, 24))
    return [tuple(rng.standard_normal(s).astype(np.float32) for s in shapes) for _ in range(3)]


def test_the_ratio_is_that_of_double_precision() -> None:
    reference, noise = blobs(0), blobs(1)
    got: list[Outputs] = [
        tuple(r + np.float32(0.01) * n for r, n in zip(one, two, strict=True))
        for one, two in zip(reference, noise, strict=True)
    ]
    found = signal(reference, got)
    assert found is not None
    assert found.sqnr_db == pytest.approx(sqnr_db(reference, got), abs=1e-3)
    flat, other = (np.concatenate([x.ravel() for one in y for x in one]) for y in (reference, got))
    exact = np.dot(flat.astype(np.float64), other) / np.linalg.norm(flat) / np.linalg.norm(other)
    assert found.cosine == pytest.approx(exact, abs=1e-6)


def test_equal_blobs_have_no_noise() -> None:
    found = signal(blobs(0), blobs(0))
    assert found is not None
    assert (found.sqnr_db, found.cosine) == (None, 1.0)
    assert peak_noise_db(blobs(0), blobs(0)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_no_ratio(value: float) -> None:
    got = blobs(0)
    got[1][0][3, 2, 1] = value
    assert signal(blobs(0), got) is None


def test_noise_without_signal_has_no_ratio() -> None:
    zero: list[Outputs] = [(np.zeros((2, 3), np.float32),)]
    assert signal(zero, [(np.ones((2, 3), np.float32),)]) is None


def test_a_faint_map_counts_as_much_as_a_strong_one() -> None:
    reference = np.zeros((2, 1, 100), np.float32)
    reference[0, 0, 5], reference[1, 0, 5] = 10.0, 0.1
    strong, faint = reference.copy(), reference.copy()
    strong[0] += 0.1
    faint[1] += 0.001
    assert peak_noise_db([(reference,)], [(strong,)]) == pytest.approx(
        peak_noise_db([(reference,)], [(faint,)]), abs=1e-3
    )


def test_rank_correlation_is_that_of_the_textbook_without_ties() -> None:
    for order in permutations(range(5)):
        squares = sum((a - b) ** 2 for a, b in enumerate(order))
        wanted = 1 - 6 * squares / (5 * 24)
        found = spearman(range(5), [math.exp(one) for one in order])
        assert found == pytest.approx(wanted, abs=1e-12)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks([3.0, 1.0, 3.0, 3.0, 0.0]).tolist() == [4.0, 2.0, 4.0, 4.0, 1.0]


@pytest.mark.parametrize(("a", "b"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3])])
def test_what_has_no_order_has_no_correlation(a: list[float], b: list[float]) -> None:
    assert spearman(a, b) is None
