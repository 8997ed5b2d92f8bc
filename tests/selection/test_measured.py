import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from quantkit.selection import STRATEGIES, coverage
from quantkit.selection.candidates import Candidates
from quantkit.selection.measured import choose, proposals
from quantkit.selection.seeded_order import seeded_order
from quantkit.selection.strategies import OF_NETWORK
from tests.selection.made_up import candidates_of

Judge = Callable[[Sequence[Sequence[int]]], Sequence[float]]

NAMES = [
    "coverage, seed 3",
    "influence, seed 3",
    "herding, seed 3",
    "k_center, seed 3",
    "k_center, seed 4",
    "random, seed 3",
    "random, seed 4",
    "random, seed 5",
    "random, seed 6",
    "1/4 coverage",
    "1/2 coverage",
]


def judged_by(judge: Judge, count: int = 40) -> Candidates:
    return replace(candidates_of(count), judge=judge)


def test_strategies_propose_sets_under_names_that_tell_how() -> None:
    candidates = candidates_of(40)
    found = proposals(candidates, 8, 3)
    assert list(found) == NAMES
    for name, chosen in found.items():
        if told := re.fullmatch(r"(\w+), seed (\d+)", name):
            assert chosen == STRATEGIES[told[1]](candidates, 8, int(told[2]))  # type: ignore[index]


@pytest.mark.parametrize(("name", "extreme"), [("1/4 coverage", 2), ("1/2 coverage", 4)])
def test_a_part_is_extreme_and_the_rest_is_drawn_of_all_others(name: str, extreme: int) -> None:
    candidates = candidates_of(40)
    chosen = set(proposals(candidates, 8, 3)[name])
    first = set(coverage.choose(candidates, extreme, 3))
    assert first < chosen
    order = [k for k in seeded_order(candidates.persons, 3) if k not in first]
    assert chosen - first == set(order[: 8 - extreme])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 12])
@pytest.mark.parametrize("seed", range(3))
def test_each_set_is_proposed_once_and_is_as_large_as_asked_for(count: int, seed: int) -> None:
    sets = list(proposals(candidates_of(12), count, seed).values())
    assert len({tuple(one) for one in sets}) == len(sets)
    for one in sets:
        assert one == sorted(set(one))
        assert len(one) == count
        assert set(one) <= set(range(12))


def test_a_set_that_several_propose_has_the_first_ones_name() -> None:
    everyone = list(range(12))
    assert proposals(candidates_of(12), 12, 3) == {"coverage, seed 3": everyone}
    assert choose(candidates_of(12), 12, 3) == everyone


def test_one_person_is_chosen_of_those_whom_strategies_choose_first() -> None:
    found = proposals(candidates_of(40), 1, 3)
    assert {len(one) for one in found.values()} == {1}
    assert set(found) <= set(NAMES[:9])
    best = max(found.values())
    assert choose(judged_by(lambda sets: [float(one[0]) for one in sets]), 1, 3) == best


@pytest.mark.parametrize("place", range(11))
def test_the_set_that_is_judged_best_is_taken(place: int) -> None:
    sets = list(proposals(candidates_of(40), 8, 3).values())
    judge = judged_by(lambda given: [float(list(one) == sets[place]) - 9 for one in given])
    assert choose(judge, 8, 3) == sets[place]


def test_of_equals_the_first_is_taken() -> None:
    sets = list(proposals(candidates_of(40), 8, 3).values())
    decibels = [20.0, 21.5, 20.9, 21.5, 21.5, *([-1e9] * 6)]
    assert choose(judged_by(lambda given: decibels), 8, 3) == sets[1]
    assert choose(judged_by(lambda given: [-1e9] * len(given)), 8, 3) == sets[0]


def test_all_proposals_are_judged_at_once() -> None:
    asked: list[list[list[int]]] = []

    def judge(sets: Sequence[Sequence[int]]) -> list[float]:
        asked.append([list(one) for one in sets])
        return [0.0] * len(sets)

    choose(judged_by(judge), 8, 3)
    assert asked == [list(proposals(candidates_of(40), 8, 3).values())]


def test_sets_of_those_who_may_be_chosen_are_judged_by_their_places_in_the_pool() -> None:
    asked: list[int] = []

    def judge(sets: Sequence[Sequence[int]]) -> list[float]:
        asked.extend(place for one in sets for place in one)
        return [0.0] * len(sets)

    allowed = [place for place in range(40) if place % 3]
    choose(judged_by(judge).take(allowed), 8, 3)
    assert set(asked) <= set(allowed)
    assert max(asked) > len(allowed)


def test_how_far_a_proposal_is_is_not_told() -> None:
    told: list[object] = []
    candidates = replace(candidates_of(40), progress=lambda *step: told.append(step))
    choose(candidates, 8, 3)
    assert told == []


def test_the_seed_changes_what_strategies_draw_and_not_what_has_no_equal() -> None:
    one, other = (proposals(candidates_of(40), 8, seed) for seed in (0, 100))
    for name in ("coverage", "influence", "herding"):
        assert one[f"{name}, seed 0"] == other[f"{name}, seed 100"]
    for name in ("k_center", "random"):
        assert one[f"{name}, seed 0"] != other[f"{name}, seed 100"]
    assert one["1/2 coverage"] != other["1/2 coverage"]


def test_the_same_choice_is_the_same_set() -> None:
    assert choose(candidates_of(40), 8, 3) == choose(candidates_of(40), 8, 3)


def test_every_strategy_of_the_network_proposes() -> None:
    found = proposals(candidates_of(40), 8, 3)
    assert {name.split(",")[0] for name in found} >= {*OF_NETWORK, "random"} - {"measured"}
