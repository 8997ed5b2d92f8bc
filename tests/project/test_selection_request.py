from dataclasses import replace
from typing import Any

import pytest

from quantkit.errors import InputError
from quantkit.project.selection_request import AMONG, DEFAULT_COUNT, SelectionRequest
from quantkit.selection import STRATEGIES
from quantkit.selection.manifest import CalibrationSet, Entry
from quantkit.selection.manifest_fields import Scalar
from quantkit.selection.strategies import JUDGED, OF_IMAGES, OF_NETWORK

ENTRY = Entry(7, 1, "a.jpg", (0.0, 0.0, 9.0, 19.0), "0" * 64)


def manifest(strategy: str = "coverage", **parameters: Scalar) -> CalibrationSet:
    return CalibrationSet(
        name="mine",
        strategy=strategy,
        parameters=parameters,
        seed=3,
        count=20,
        annotations="a.json",
        images="images",
        candidates=5000,
        candidates_sha256="1" * 64,
        entries=(ENTRY,),
    )


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=f"'best'; there are {', '.join(STRATEGIES)}$"):
        SelectionRequest("best")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_network_is_run_for_its_strategies_and_to_find_outliers(strategy: str) -> None:
    plain, wary = SelectionRequest(strategy), SelectionRequest(strategy, refuse_outliers=True)
    assert plain.runs_network == (strategy in OF_NETWORK)
    assert wary.runs_network
    assert plain.sees_images == wary.sees_images == (strategy in OF_IMAGES)


@pytest.mark.parametrize(
    ("count", "among", "pool", "sized"),
    [
        (None, AMONG, 12, (12, 12)),
        (None, AMONG, 5000, (DEFAULT_COUNT, AMONG)),
        (None, 64, 5000, (DEFAULT_COUNT, DEFAULT_COUNT)),
        (2000, AMONG, 5000, (2000, 2000)),
        (8, 9999, 5000, (8, 5000)),
    ],
)
def test_a_set_is_chosen_among_as_many_as_it_holds_at_least_and_the_pool_at_most(
    count: int | None, among: int, pool: int, sized: tuple[int, int]
) -> None:
    found = SelectionRequest("coverage", count, among=among).sized(pool)
    assert (found.count, found.among) == sized


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_sets_are_measured_fewer_persons_are_chosen(strategy: str) -> None:
    expected = 16 if strategy == "measured" else 128
    request = SelectionRequest(strategy)
    assert request.sized(5000).count == expected
    assert request.sized(10).count == 10
    assert SelectionRequest(strategy, 32).sized(5000).count == 32


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_method_decides_where_sets_are_measured_and_nowhere_else(strategy: str) -> None:
    by_kl, by_minmax = (SelectionRequest(strategy, method=name) for name in ("kl", "minmax"))
    decides = strategy in JUDGED
    assert by_kl.measures == decides
    assert (by_kl.parameters(9) != by_minmax.parameters(9)) == decides
    assert (by_kl.name("net", 16) != by_minmax.name("net", 16)) == decides


def test_a_set_is_named_for_how_it_was_chosen() -> None:
    assert SelectionRequest("random", seed=3).name("net", 128) == "net-random-128-seed3"
    request = SelectionRequest("measured", seed=3, method="percentile-99.9")
    assert request.name("net", 16) == "net-measured-percentile-99.9-16-seed3"


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no calibration method 'best'; there are minmax, kl"):
        SelectionRequest("measured", method="best")
    with pytest.raises(InputError, match="no calibration method 'entropy'"):
        SelectionRequest.of(manifest("measured", method="entropy"))


@pytest.mark.parametrize("refuse", [False, True])
@pytest.mark.parametrize("among", [100, 5000])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_manifest_says_what_is_needed_to_ask_again(
    strategy: str, among: int, refuse: bool
) -> None:
    request = SelectionRequest(strategy, 20, 3, among, refuse).sized(5000)
    again = SelectionRequest.of(manifest(strategy, **request.parameters(5000))).sized(5000)
    drawn = request.sees_images or request.runs_network
    # Whoever looks at nobody has no draw to repeat.
    assert again == (request if drawn else replace(request, among=5000))
    assert ("among" in request.parameters(5000)) == (drawn and among < 5000)


def test_the_method_that_measured_is_asked_for_again() -> None:
    request = SelectionRequest("measured", 20, 3, 100, method="mse").sized(5000)
    assert SelectionRequest.of(manifest("measured", **request.parameters(5000))) == request
    assert SelectionRequest.of(manifest("measured")).method == "kl"


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 0.5},
        {"among": 20, "bins": None},
        {"among": "all"},
        {"among": 20.5},
        {"refuse_outliers": 2},
        {"refuse_outliers": "yes"},
        {"method": 3},
        {"method": None},
    ],
)
def test_parameters_of_no_selection_are_named(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="set 'mine' has parameters of no selection") as raised:
        SelectionRequest.of(manifest(**parameters))
    assert str(parameters) in str(raised.value)
