import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.selection.stratified import choose
from quantkit.selection.traits import Traits
from quantkit.selection.traits_coverage import coverage_of
from tests.selection.seen import candidates, made_up


def cdf_gap(values: NDArray[np.float64], chosen: list[int]) -> float:
    """The Kolmogorov-Smirnov distance, by its definition."""
    return max(
        abs(float(np.mean(values <= value)) - float(np.mean(values[chosen] <= value)))
        for value in set(values.tolist())
    )


def gaps(traits: Traits, sets: list[list[int]]) -> dict[str, float]:
    return {
        name: float(np.mean([cdf_gap(values, chosen) for chosen in sets]))
        for name, values in traits.named().items()
    }


@pytest.mark.parametrize("keypoints", [True, False])
@pytest.mark.parametrize(("count", "share"), [(8, 0.8), (16, 0.75), (64, 0.65)])
def test_every_trait_is_spread_as_in_the_pool_and_better_than_by_chance(
    count: int, share: float, keypoints: bool
) -> None:
    pool = made_up(166, keypoints=keypoints)
    draw = np.random.default_rng(1)
    by_chance = [draw.choice(166, count, replace=False).tolist() for _ in range(40)]
    chance = gaps(pool, by_chance)
    found = gaps(pool, [choose(candidates(pool), count, seed) for seed in range(12)])
    for name in found:
        assert found[name] <= share * chance[name], name


def test_any_two_traits_together_are_spread_as_in_the_pool() -> None:
    pool = made_up(240, seed=3).named()
    above = [values > np.median(values) for name, values in pool.items() if name != "contrast"]
    both = np.array([one & other for one, other in combinations(above, 2)])

    def gap(chosen: list[int]) -> float:
        return float(np.abs(both[:, chosen].mean(axis=1) - both.mean(axis=1)).mean())

    draw = np.random.default_rng(1)
    chance = [gap(draw.choice(240, 24, replace=False).tolist()) for _ in range(60)]
    found = [gap(choose(candidates(Traits(**pool)), 24, seed)) for seed in range(20)]
    assert np.mean(found) < 0.7 * np.mean(chance)


def test_a_pool_of_two_kinds_gives_as_many_of_each_as_there_are() -> None:
    kind = np.arange(40) % 4 == 0
    traits = Traits(*[np.where(kind, 100.0, 10.0)] * 7)
    for seed in range(5):
        chosen = choose(candidates(traits), 8, seed)
        assert kind[chosen].sum() == 2


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.data())
def test_any_count_gives_as_many_different_persons(there: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, there))
    seed = data.draw(st.integers(0, 99))
    pool = made_up(there, seed)
    chosen = choose(candidates(pool), count, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == count
    assert set(chosen) <= set(range(there))
    assert choose(candidates(pool), count, seed) == chosen


def test_all_of_the_pool_is_all_of_the_pool() -> None:
    assert choose(candidates(made_up(7)), 7, 0) == list(range(7))


def test_one_person_is_a_middling_one() -> None:
    pool = made_up(101)
    (chosen,) = choose(candidates(pool), 1, 0)
    ranks = [float(np.mean(v < v[chosen])) for v in pool.named().values()]
    assert np.mean(np.abs(np.array(ranks) - 0.5)) < 0.2


def test_seeds_give_different_samples() -> None:
    pool = candidates(made_up(166))
    assert len({tuple(choose(pool, 16, seed)) for seed in range(10)}) == 10


def test_over_many_seeds_everybody_has_a_chance() -> None:
    pool = candidates(made_up(60))
    found = np.bincount(np.concatenate([choose(pool, 15, seed) for seed in range(80)]))
    assert len(found) == 60
    assert found.min() >= 1
    assert found.max() <= 60  # 20 on average


def test_persons_who_are_all_alike_are_drawn_at_random() -> None:
    alike = candidates(Traits(*[np.ones(20)] * 7))
    assert len({tuple(choose(alike, 5, seed)) for seed in range(5)}) == 5


def test_the_order_of_the_file_makes_no_difference() -> None:
    pool = candidates(made_up(80))
    turned = np.arange(80)[::-1]
    other = candidates(pool.traits().take(turned))
    persons = tuple(pool.persons[i] for i in turned)
    other = type(pool)(persons, other.traits, other.activations)
    chosen = choose(other, 12, 0)
    assert sorted(79 - i for i in chosen) == choose(pool, 12, 0)


@pytest.mark.slow
def test_a_hundred_thousand_candidates_take_seconds() -> None:
    pool = candidates(made_up(100_000))
    started = time.monotonic()
    chosen = choose(pool, 128, 0)
    assert len(chosen) == 128
    assert time.monotonic() - started < 20


def test_coverage_counts_every_person_once_a_trait() -> None:
    pool = made_up(166)
    chosen = choose(candidates(pool), 16, 0)
    found = coverage_of(pool, chosen)
    assert set(found) == set(pool.named())
    for strata in found.values():
        assert sum(stratum["pool"] for stratum in strata.values()) == 166
        assert sum(stratum["set"] for stratum in strata.values()) == 16
        assert all(stratum["pool"] for stratum in strata.values())


def test_coverage_knows_cocos_sizes_and_the_unknown_keypoints() -> None:
    pool = made_up(5)
    pool = Traits(**{**pool.named(), "size": np.array([31.9, 32.0, 95.9, 96.0, 500.0])})
    pool = Traits(**{**pool.named(), "keypoints": np.array([-1.0, 0.0, 8.0, 9.0, 17.0])})
    found = coverage_of(pool, [0, 1])
    assert found["size"] == {
        "< 32": {"pool": 1, "set": 1},
        "32 to 96": {"pool": 2, "set": 1},
        "96 to 192": {"pool": 1, "set": 0},
        ">= 192": {"pool": 1, "set": 0},
    }
    assert list(found["keypoints"]) == ["unknown", "none", "1 to 8", "9 to 14", "15 to 17"]
    assert found["keypoints"]["none"] == {"pool": 1, "set": 1}
