from dataclasses import replace

import pytest

from quantkit.errors import InputError
from quantkit.sensitivity.costs import Costs, timed_costs
from quantkit.sensitivity.isolated_map import IsolatedPool
from quantkit.sensitivity.plan import Effort, budget_seconds, estimate, fitted, fitted_worst
from tests.sensitivity.small_sweeps import small_sweep

COSTS = Costs(
    fp32={f"layer{n}": 0.002 * (50 - n) / 50 for n in range(50)},
    int8={f"layer{n}": 0.003 * (50 - n) / 50 for n in range(50)},
    start=1.0,
)
ASKED = Effort(crops=16, ap_crops=128, ap_layers=20)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "0s", "5 minutes", "1e3s", "5d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected 30s, 5m or 1h, or none"):
        budget_seconds(text)


def test_more_of_anything_costs_more() -> None:
    whole = estimate(ASKED, COSTS, 2)
    for smaller in (
        replace(ASKED, crops=8),
        replace(ASKED, ap_crops=64),
        replace(ASKED, ap_layers=10),
    ):
        less = estimate(smaller, COSTS, 2)
        assert less.runs < whole.runs
        assert less.seconds < whole.seconds
    assert estimate(ASKED, COSTS, 1).seconds > whole.seconds


def test_the_runs_are_counted() -> None:
    assert estimate(Effort(crops=2, ap_crops=0, ap_layers=0), COSTS, 2).runs == 50 * 2 * 4


@pytest.mark.parametrize("seconds", [12.0, 20.0, 30.0, 60.0, 1000.0])
def test_what_is_planned_fits_the_time(seconds: float) -> None:
    effort = fitted(ASKED, COSTS, 2, seconds)
    assert estimate(effort, COSTS, 2).seconds <= seconds
    assert effort.crops <= ASKED.crops
    assert effort.ap_crops <= ASKED.ap_crops
    if seconds == 1000:
        assert effort == ASKED


def test_more_time_is_never_used_for_less() -> None:
    efforts = [fitted(ASKED, COSTS, 2, seconds) for seconds in (10, 14, 18, 25, 40, 80, 500)]
    runs = [estimate(effort, COSTS, 2).runs for effort in efforts]
    assert runs == sorted(runs)
    assert len(set(runs)) > 3


def test_too_little_time_leaves_one_crop() -> None:
    assert fitted(ASKED, COSTS, 2, 0.01) == Effort(crops=1, ap_crops=0, ap_layers=0)


def test_the_worst_layers_are_cut_to_the_time_that_is_left() -> None:
    effort = fitted_worst(ASKED, COSTS, 2, 10.0)
    assert effort.crops == ASKED.crops
    assert 0 < effort.ap_crops < ASKED.ap_crops
    assert estimate(effort, COSTS, 2).worst_s <= 10
    assert fitted_worst(ASKED, COSTS, 2, 0.0).ap_layers == 0


@pytest.mark.slow
def test_later_layers_cost_less(tmp_path_factory: pytest.TempPathFactory) -> None:
    layers = ("stem", "residual", "head")
    sweep = small_sweep(tmp_path_factory.mktemp("net"), persons=2, layers=layers)
    with IsolatedPool(1) as pool:
        costs = timed_costs(sweep, pool)
    assert list(costs.fp32) == list(costs.int8) == list(layers)
    assert 0 < costs.start < 60
    assert all(0 < value < 5 for value in (*costs.fp32.values(), *costs.int8.values()))
