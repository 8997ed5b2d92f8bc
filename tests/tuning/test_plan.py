"""What is left out of a recipe so that it fits a time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import Unavailable
from quantkit.tuning.plan import Costs, Plan, _learning_costs, fitted
from quantkit.tuning.recipe import Recipe

COSTS = Costs(layers=100, calibration=20.0, behind=0.05, step=2.0, checks=20.0)
NOTHING = Recipe(equalize=False, search=False, rounding=False, bias=False, learning=0)
WHOLE = Plan.whole(Recipe(fp32_share=0.02), crops=32)


def test_nothing_is_left_out_without_a_budget_or_of_what_fits() -> None:
    assert fitted(WHOLE, COSTS, None) == WHOLE
    assert fitted(WHOLE, COSTS, 2 * WHOLE.seconds(COSTS)) == WHOLE
    assert WHOLE.left_out(WHOLE) == ()


def test_a_plan_without_steps_that_cost_anything_is_whole_in_no_time() -> None:
    bare = Plan.whole(NOTHING, crops=32)
    assert fitted(bare, COSTS, 0.0) == bare


@given(st.floats(0, 5000), st.floats(0, 5000))
def test_more_time_never_leaves_more_of_the_search_out(one: float, other: float) -> None:
    less, more = (fitted(WHOLE, COSTS, seconds) for seconds in sorted((one, other)))
    assert less.crops <= more.crops
    for what in ("equalize", "rounding", "both", "together"):
        assert getattr(less, what) <= getattr(more, what)


@given(st.floats(0, 5000))
def test_a_plan_fits_the_time_that_it_was_cut_to(seconds: float) -> None:
    assert fitted(WHOLE, COSTS, seconds).seconds(COSTS) <= seconds


def test_no_time_leaves_out_everything() -> None:
    least = fitted(WHOLE, COSTS, 0.0)
    assert least == Plan.whole(NOTHING, crops=32)
    assert least.left_out(WHOLE) == (
        "equalization",
        "rounding by each layer's output",
        "thresholds by the outputs",
        "layers in fp32",
        "0 steps of learning instead of 300",
    )


def test_learning_that_cannot_be_done_costs_nothing() -> None:
    costs = replace(COSTS, step=0.0, checks=0.0)
    assert fitted(WHOLE, costs, 60.0).learning == 300


def test_what_is_left_out_is_told() -> None:
    cut = replace(WHOLE, both=False, crops=4, together=False, learning=50)
    assert cut.left_out(WHOLE) == (
        "thresholds by 4 crops instead of 32",
        "the search of the other of the two networks",
        "thresholds moved together",
        "50 steps of learning instead of 300",
    )


def test_learning_is_measured_until_it_says_that_it_cannot_be_done() -> None:
    def cannot(steps: int, progress: object) -> None:
        raise Unavailable("torch is not installed")

    assert _learning_costs(cannot) == (0.0, 0.0)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(search=False), Recipe(equalize=False)])
def test_a_plan_survives_the_journal(recipe: Recipe) -> None:
    plan = Plan.whole(recipe, crops=8)
    assert Plan(**plan.to_json()) == plan
