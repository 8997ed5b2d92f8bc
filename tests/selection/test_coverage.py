from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from quantkit.selection import activations as module
from quantkit.selection.activations import Activations
from quantkit.selection.activations_coverage import range_coverage
from quantkit.selection.coverage import choose
from quantkit.selection.seeded_order import seeded_order
from tests.selection.made_up import (
    activations_of,
    candidates_of,
    chosen_in_order,
    drawn_activations,
    shown,
)


def covered(pool: Activations, chosen: Sequence[int]) -> float:
    """What persons cover: octaves of range, and a tenth for every half octave covered whole."""
    absmax = pool.absmax.astype(np.float64)
    octaves = np.log2(absmax[list(chosen)].max(axis=0) / np.median(absmax, axis=0))
    counts = pool.counts[pool.records].astype(np.float64)
    shares = counts / counts.sum(axis=2, keepdims=True)
    there = shares.max(axis=0) > 0
    parts = shares[list(chosen)].max(axis=0)[there] / shares.max(axis=0)[there]
    return float(np.maximum(octaves, 0).sum() + 0.1 * parts.sum())


@pytest.mark.parametrize("block", [4, 256])
@pytest.mark.parametrize("seed", range(4))
def test_each_is_the_one_that_covers_most_of_what_is_not_covered(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    pool = drawn_activations(25, blobs=4, seed=seed)
    order = chosen_in_order(choose, shown(pool), 12)
    for step in range(12):
        left = [k for k in range(25) if k not in order[:step]]
        assert order[step] == max(left, key=lambda k: covered(pool, [*order[:step], k]))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_at_least_63_percent_of_what_the_best_set_covers_is_covered(count: int) -> None:
    for seed in range(8):
        pool = drawn_activations(10, blobs=3, seed=seed)
        best = max(covered(pool, chosen) for chosen in combinations(range(10), count))
        assert covered(pool, choose(shown(pool), count, 0)) >= (1 - np.exp(-1)) * best - 1e-6


def test_range_counts_above_the_median_candidates() -> None:
    absmax = np.array([[4.0, 4.0]] * 6 + [[8.0, 0.25]], np.float32)
    counts = np.ones((7, 2, 48), np.uint16)
    pool = Activations(("a", "b"), (("x",), ("y",)), absmax, counts, np.arange(7))
    assert choose(shown(pool), 1, 0) == [6]


def test_few_persons_reach_the_range_of_the_pool() -> None:
    pool, draw = drawn_activations(150, blobs=6), np.random.default_rng(0)
    found = range_coverage(pool, choose(shown(pool), 24, 0))
    chance = [
        range_coverage(pool, draw.choice(150, 24, replace=False).tolist())["reached"]
        for _ in range(100)
    ]
    assert found["reached"] == 6 > max(chance)


def test_smaller_sets_lie_within_larger_ones_down_to_nobody_left() -> None:
    assert sorted(chosen_in_order(choose, candidates_of(15), 15)) == list(range(15))


def test_the_seed_decides_between_persons_who_are_alike() -> None:
    alike = shown(activations_of([[np.ones(5), np.zeros(3)]] * 9))
    for seed in range(3):
        order = seeded_order(alike.persons, seed)
        assert chosen_in_order(choose, alike, 9, seed) == order


def test_of_each_kind_the_seed_chooses_one() -> None:
    rng = np.random.default_rng(0)
    kinds = [[rng.laplace(0, scale, 200)] for scale in (0.1, 1.0, 10.0)]
    pool = shown(activations_of([kinds[k % 3] for k in range(12)]))
    for seed in range(5):
        order = seeded_order(pool.persons, seed)
        expected = [next(k for k in order if k % 3 == kind) for kind in range(3)]
        assert choose(pool, 3, seed) == sorted(expected)


def test_a_blob_that_is_zero_for_most_is_covered_by_one_for_whom_it_is_not() -> None:
    pool = activations_of([[np.ones(6), np.full(6, float(k == 5))] for k in range(8)])
    assert choose(shown(pool), 1, 0) == [5]


def test_every_choice_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    choose(replace(candidates_of(9), progress=lambda *step: told.append(step)), 4, 0)
    assert told == [("choosing", done, 4) for done in (1, 2, 3, 4)]
