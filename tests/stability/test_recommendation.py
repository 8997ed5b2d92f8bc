"""The rule that recommends a size, on points whose truth is known."""

import math

import numpy as np
import pytest

from quantkit.stability.points import Point
from quantkit.stability.recommendation import recommend
from tests.stability.made_up import POOL, SEEDS, SIZES, points


def test_a_curve_that_is_flat_from_the_start_needs_its_smallest_size() -> None:
    found = recommend(points(lambda size, seed: 20.0 + 0.01 * seed), POOL)
    assert found.size == SIZES[0]


def test_a_step_in_the_level_is_waited_for() -> None:
    found = recommend(points(lambda size, seed: 18.0 if size < 32 else 20.0), POOL)
    assert found.size == 32
    assert "Up to 64 crops" in found.reason


def test_a_level_that_still_rises_is_named_with_its_change() -> None:
    found = recommend(points(lambda size, seed: math.log2(size)), POOL)
    assert found.size is None
    assert "From 32 to 64 crops the mean SQNR changes by +1.00 dB" in found.reason
    assert "Take 64, or more persons." in found.reason


def test_more_crops_are_not_advised_where_they_make_it_worse() -> None:
    found = recommend(points(lambda size, seed: -math.log2(size)), POOL)
    assert found.size is None
    assert "More crops make it worse" in found.reason


def test_a_change_within_its_paired_noise_is_none() -> None:
    noise = dict(zip(SEEDS, (-2.0, -1.0, 0.0, 1.0, 2.0), strict=True))
    rising = points(lambda size, seed: 20 + 0.4 * (size == 64) + noise[seed] * (1 + (size == 64)))
    # +0.4 dB on average, with a standard error of 0.7.
    assert recommend(rising, POOL).size == SIZES[0]
    # The same means with the noise of a seed the same at both sizes: it cancels.
    paired = points(lambda size, seed: 20 + 0.4 * (size == 64) + noise[seed])
    assert recommend(paired, POOL).size is None


def test_seeds_that_scatter_more_than_with_more_crops_are_waited_for() -> None:
    spread = {8: 3.0, 16: 2.0, 32: 0.3, 64: 0.2}
    found = recommend(points(lambda size, seed: 20 + spread[size] * (seed - 2)), POOL)
    assert found.size == 32


def test_scatter_that_more_crops_do_not_mend_is_no_reason_for_them() -> None:
    assert recommend(points(lambda size, seed: 20.0 + 3 * (seed - 2)), POOL).size == SIZES[0]


def test_noise_does_not_excuse_a_large_change() -> None:
    noise = dict(zip(SEEDS, (-9.0, -4.0, 0.0, 4.0, 9.0), strict=True))
    made = points(lambda size, seed: 20 + (size == 64) * (1.5 + noise[seed]), sizes=(32, 64))
    found = recommend(made, POOL)
    assert found.size is None
    assert "+1.50 dB, beyond 1.00 dB" in found.reason


def test_scatter_that_no_larger_size_can_be_held_against_is_not_taken_for_settled() -> None:
    made = points(lambda size, seed: 20.0 if size == 64 else 20 + 0.4 * (seed - 2), sizes=(32, 64))
    found = recommend(made, 100)
    assert found.size is None
    said = "seeds of 32 scatter by 0.63 dB, 0.77 dB if they shared no persons, beyond 0.50 dB"
    assert said in found.reason
    steady = points(lambda size, seed: 20 + 0.2 * (seed - 2), sizes=(32, 64))
    assert recommend(steady, 100).size == 32


def test_scales_that_scatter_are_waited_for() -> None:
    def scale(size: int, seed: int) -> float:
        return 10.0 * (1 + (seed - 2) * (0.2 if size < 32 else 0.001))

    assert recommend(points(lambda size, seed: 20.0, scale), POOL).size == 32


def test_a_drop_that_changes_is_waited_for() -> None:
    def drop(size: int, seed: int) -> float:
        return 0.05 if size < 16 else 0.01

    assert recommend(points(lambda size, seed: 20.0, drop=drop), POOL).size == 16


def test_sets_that_share_most_of_the_pool_are_not_taken_for_steady() -> None:
    spread = {8: 1.0, 16: 0.8, 32: 0.7, 64: 0.1}

    def sqnr(size: int, seed: int) -> float:
        return 20 + spread[size] * (seed - 2)

    # Of 10,000 persons, sets of 64 that scatter so little speak against smaller ones.
    assert recommend(points(sqnr), POOL).size is None
    # Of 65 persons they are one set with 64 of them: 0.1 says 0.8 of sets drawn apart.
    assert recommend(points(sqnr), 65).size == 8


def test_the_whole_pool_does_not_scatter_and_says_nothing_about_scatter() -> None:
    made = points(lambda size, seed: 20.0 if size == 64 else 20 + 0.6 * (seed - 2))
    assert recommend(made, 64).size == 8
    assert recommend(made, POOL).size is None


def test_tables_without_an_sqnr_are_named() -> None:
    made = points(lambda size, seed: None if (size, seed) == (16, 3) else 20.0)
    found = recommend(made, POOL)
    assert found.size is None
    assert "1 tables have no SQNR" in found.reason
    assert "16 crops of seed 3" in found.reason


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (points(lambda size, seed: 20.0, sizes=(8,)), "One size alone"),
        (points(lambda size, seed: 20.0, seeds=(0,)), "One seed alone"),
    ],
)
def test_what_cannot_be_compared_is_said(made: list[Point], reason: str) -> None:
    found = recommend(made, POOL)
    assert found.size is None
    assert reason in found.reason


def test_pure_noise_is_seldom_taken_for_a_change() -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(100):
        noise = rng.normal(0, 0.1, (len(SIZES), len(SEEDS)))
        made = points(lambda size, seed: 20 + noise[SIZES.index(size), seed])  # noqa: B023
        sizes.append(recommend(made, POOL).size)
    assert sizes.count(8) == 100  # 0.1 dB are within 0.25 dB and 0.5 dB
