import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.influence import choose, influences, least_error_thresholds
from quantkit.selection.magnitude_bins import magnitude_centres
from quantkit.selection.seeded_order import seeded_order
from tests.selection.made_up import activations_of, chosen_in_order, drawn_activations, shown

Array = NDArray[np.float64]

CENTRES = magnitude_centres()
STEP = 1 / 127
"""Width of a level, in thresholds; its square by twelve is the error of rounding."""


def error(threshold: float, shares: Array) -> float:
    """Squared error of a histogram: what is clipped, and what is rounded."""
    parts = np.where(threshold < CENTRES, (CENTRES - threshold) ** 2, (threshold * STEP) ** 2 / 12)
    return float(parts @ shares)


def rises(threshold: float, shares: Array) -> bool:
    """Whether a larger threshold rounds more than it clips less."""
    clipped = threshold < CENTRES
    rounded = threshold * STEP**2 / 6 * shares[~clipped].sum()
    return bool(rounded >= 2 * (CENTRES - threshold)[clipped] @ shares[clipped])


def searched(shares: Array) -> float:
    """The threshold where the error begins to rise, by halving."""
    low, high = 0.0, 5000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle, shares) else (middle, high)
    return high


def ranks(values: Array) -> Array:
    return np.argsort(np.argsort(values)).astype(float)


def skewed(count: int, seed: int) -> Activations:
    """Blobs of as different tails as layers have, some of them sparse."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.normal(0, 0.5, (count, 6)))
    tails = rng.uniform(0.4, 1.2, 6)
    kept = rng.uniform(0.1, 1, 6)
    return activations_of(
        [
            [
                s * rng.lognormal(0, tail, 400) * (rng.random(400) < share)
                for s, tail, share in zip(row, tails, kept, strict=True)
            ]
            for row in scales
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_has_a_smaller_error(seed: int) -> None:
    grid = np.geomspace(1e-3, 4000, 1500)
    for pool in (drawn_activations(60, seed=seed), skewed(60, seed)):
        shares = pool.pool_shares()
        for threshold, blob in zip(least_error_thresholds(shares), shares, strict=True):
            least = min(error(one, blob) for one in grid.tolist())
            assert error(threshold, blob) <= least * (1 + 1e-3)


blob = st.dictionaries(st.integers(0, 47), st.floats(-7, 0), min_size=1, max_size=9)


@settings(deadline=None, derandomize=True, max_examples=60)
@example([{20: -1.0, 24: 0.0, 30: power} for power in (-7.0, -6.5, -6.3, -6.2, -6.0, -5.0)])
@example([{0: 0.0}, {47: 0.0}, {5: 0.0, 47: -7.0}])
@given(st.lists(blob, min_size=1, max_size=3))
def test_below_the_threshold_the_error_falls_and_above_it_rises(
    blobs: list[dict[int, float]],
) -> None:
    shares = np.zeros((len(blobs), 48))
    for row, powers in zip(shares, blobs, strict=True):
        row[list(powers)] = 10.0 ** np.array(list(powers.values()))
        row /= row.sum()
    for threshold, row in zip(least_error_thresholds(shares), shares, strict=True):
        assert threshold == pytest.approx(searched(row), rel=1e-6, abs=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_influence_ranks_persons_as_their_removal_does(seed: int) -> None:
    pool = skewed(40, seed)
    whole = np.array([searched(shares) for shares in pool.pool_shares()])
    removed = []
    for person in range(40):
        rest = pool.take([k for k in range(40) if k != person]).pool_shares()
        without = np.array([searched(shares) for shares in rest])
        removed.append(np.abs(without / whole - 1).sum())
    found = influences(pool)
    assert np.corrcoef(ranks(found), ranks(np.array(removed)))[0, 1] > 0.9
    # And says by how much: a removal is one in forty.
    assert np.median(found / 40 / removed) == pytest.approx(1, abs=0.2)


def balanced() -> Activations:
    """Persons 0 to 5 change nothing: they are what the other eight are together."""
    rng = np.random.default_rng(0)
    middle = rng.integers(20, 30, (3, 48))
    changes = [rng.integers(1, 20, (3, 48)) for _ in range(4)]
    changes = [change - np.roll(change, 5, axis=1) for change in changes]  # as many values
    rows = [middle] * 6 + [middle + s * change for change in changes for s in (1, -1)]
    names = ("a", "b", "c")
    absmax = np.full((14, 3), 4096, np.float32)
    layers = tuple((name,) for name in names)
    return Activations(names, layers, absmax, np.array(rows, np.uint16), np.arange(14))


def test_those_who_change_nothing_come_last() -> None:
    found = influences(balanced())
    assert found[:6].max() < 1e-3 * found[6:].min()
    assert choose(shown(balanced()), 8, 0) == list(range(6, 14))


def test_the_most_influential_are_chosen() -> None:
    pool = skewed(40, 5)
    chosen = choose(shown(pool), 9, 0)
    found = influences(pool)
    assert found[chosen].min() > np.delete(found, chosen).max()


def test_smaller_sets_lie_within_larger_ones_down_to_nobody_left() -> None:
    assert sorted(chosen_in_order(choose, shown(skewed(15, 0)), 15)) == list(range(15))


def test_the_seed_decides_between_persons_who_are_alike() -> None:
    alike = shown(activations_of([[np.arange(5.0), np.zeros(3)]] * 9))
    for seed in range(3):
        order = seeded_order(alike.persons, seed)
        assert chosen_in_order(choose, alike, 9, seed) == order


def test_a_blob_of_zeros_adds_nothing() -> None:
    rng = np.random.default_rng(0)
    values = [rng.laplace(size=200) for _ in range(12)]
    alone = influences(activations_of([[one] for one in values]))
    beside = influences(activations_of([[one, np.zeros(9)] for one in values]))
    assert beside == pytest.approx(alone, rel=1e-9)
    assert influences(activations_of([[np.zeros(9)]] * 3)).tolist() == [0, 0, 0]


def test_zeros_are_rounded_as_all_that_is_not_clipped() -> None:
    rng = np.random.default_rng(0)
    values = rng.laplace(size=400)
    sparse, tiny = (np.append(values, np.full(1200, least)) for least in (0.0, 1e-5))
    shares = activations_of([[values, sparse, tiny]]).pool_shares()
    dense_one, sparse_one, tiny_one = least_error_thresholds(shares)
    assert sparse_one == tiny_one < dense_one
    assert sparse_one == pytest.approx(searched(shares[1]), rel=1e-6)
