"""The parts of the search that need no network."""

import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from quantkit.errors import GateFailed
from quantkit.report.search import search_table
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.search_choice import choose, with_pareto
from quantkit.sensitivity.search_costs import LayerCost, in_order_of_cost, least
from quantkit.sensitivity.search_plan import planned
from quantkit.sensitivity.search_report import (
    Bounds,
    Confirmation,
    SearchReport,
    Tried,
    matching_report,
)
from quantkit.storage import sha256_bytes


def cost(name: str, fp32: float, int8: float) -> LayerCost:
    return LayerCost(name, fp32, int8, fp32, int8, 0.1)


def tried(name: str, ratio: float | None, db: float | None, **more: object) -> Tried:
    one = Tried(name, 5, 0.5, 1.0, effect=Effect(sqnr_db=db), ratio=ratio)
    return replace(one, **more)  # type: ignore[arg-type]


@given(st.integers(0, 500), st.data())
def test_bisection_finds_the_least_and_asks_a_few_times(most: int, data: st.DataObject) -> None:
    answer = data.draw(st.integers(0, most))
    asked: list[int] = []

    def holds(count: int) -> bool:
        asked.append(count)
        return count >= answer

    assert least(holds, most) == answer
    assert len(asked) <= 2 * math.log2(most + 2) + 1
    assert most not in asked or most == 0
    assert len(set(asked)) == len(asked)


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_whatever_is_answered_the_number_found_was_seen_to_hold(most: int, answers: int) -> None:
    seen: dict[int, bool] = {most: True}

    def holds(count: int) -> bool:
        seen[count] = bool(answers >> (count % 32) & 1)
        return seen[count]

    assert seen[least(holds, most)]


def test_the_layer_that_costs_most_for_its_time_is_given_up_first() -> None:
    costs = {one.name: one for one in (cost("a", 2, 1), cost("b", 1, 0.5), cost("c", 9, 1))}
    errors = {"a": 0.1, "b": 0.1, "c": 0.2}
    assert in_order_of_cost(costs, errors, ["a", "b", "c"]) == ("b", "a", "c")


@pytest.mark.parametrize(("int8", "pays"), [(0.89, True), (0.91, False), (2.0, False)])
def test_int8_pays_where_it_takes_less_than_nine_tenths(int8: float, pays: bool) -> None:
    assert cost("a", 1.0, int8).pays is pays


@pytest.mark.parametrize(
    ("effect", "broken"),
    [
        (Effect(sqnr_db=25.0, ap_drop=0.002, ap_drop_ci=(0.001, 0.003)), None),
        (Effect(sqnr_db=None, ap_drop=0.0), None),
        (Effect(sqnr_db=26.0, ap_drop=0.01, ap_drop_ci=(-0.001, 0.03)), None),
        (Effect(sqnr_db=26.0, ap_drop=0.01, ap_drop_ci=(0.003, 0.03)), "a drop of at least 0.0030"),
        (Effect(sqnr_db=24.94, ap_drop=0.0), "24.9 dB are less than 25"),
        (Effect(died="SIGSEGV"), "SIGSEGV"),
    ],
)
def test_a_bound_is_broken_only_by_what_can_be_told_from_it(
    effect: Effect, broken: str | None
) -> None:
    found = Bounds(0.002, 25.0).broken_by(effect)
    assert (found or "").startswith(broken or "")
    assert (found is None) is (broken is None)


def test_the_fastest_that_holds_the_bounds_is_chosen() -> None:
    all_of_them = [
        tried("fp32", 1.0, None, int8_layers=0),
        tried("all", 0.5, 20.0, broken="20 dB are less than 25"),
        tried("some", 0.7, 26.0),
        tried("few", 0.8, 30.0),
        tried("untimed", None, 40.0),
    ]
    chosen, why = choose(all_of_them, claim=0.03)
    assert chosen.name == "some"
    assert why == "the fastest of 2 that hold the bounds"


def test_of_mixes_that_cannot_be_told_apart_the_closest_to_fp32_is_chosen() -> None:
    both = [tried("fast", 0.70, 26.0), tried("close", 0.72, 30.0), tried("slow", 0.73, 40.0)]
    chosen, why = choose(both, claim=0.03)
    assert chosen.name == "close"
    assert "1 of them cannot be told from it in time" in why
    assert choose(both, claim=0.0)[0].name == "fast"


def test_a_mask_that_saves_no_time_is_not_set() -> None:
    both = [tried("plain, masks", 0.70, 26.0, masks=3), tried("plain", 0.71, 26.01)]
    assert choose(both, claim=0.03)[0].name == "plain"
    assert choose([replace(both[0], ratio=0.6), both[1]], claim=0.03)[0].name == "plain, masks"


def test_a_mix_that_is_not_faster_than_fp32_is_refused() -> None:
    with pytest.raises(GateFailed, match=r"takes 0\.98 of fp32's time, .* by more than 3%"):
        choose([tried("mix", 0.98, 30.0)], claim=0.03)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    every = [tried("a", 0.5, 20.0), tried("b", 0.7, 25.0), tried("c", 0.8, 24.0)]
    assert [one.pareto for one in with_pareto(every)] == [True, True, False]


@given(
    st.floats(1e-3, 2.0), st.integers(1, 300), st.integers(1, 400), st.none() | st.floats(1, 1e4)
)
def test_a_plan_fits_its_time_or_is_the_least_that_makes_sense(
    forward: float, layers: int, persons: int, budget: float | None
) -> None:
    plan = planned(forward=forward, layers=layers, persons=persons, budget=budget)
    assert min(16, persons) <= plan.persons <= persons
    if budget is not None and plan.persons > min(16, persons):
        assert plan.seconds + plan.anew * plan.anew_seconds <= budget * (1 + 1e-9)


def report(table: Path) -> SearchReport:
    effect = Effect(sqnr_db=26.0, ap_drop=0.001, ap_drop_ci=(-0.01, 0.01))
    return SearchReport(
        model="m",
        base="kl",
        bounds=Bounds(),
        machine={"cpu": "this"},
        layer_noise=0.02,
        network_noise=0.01,
        claim=0.03,
        persons=12,
        labels="labels",
        layers=(cost("a", 1, 0.5).to_json(),),
        tried=(tried("mix", 0.7, 26.0, median_ms=1.0, p10_ms=0.9, effect=effect),),
        chosen="mix",
        why="the fastest of 1 that hold the bounds",
        table="mixed",
        table_sha256=sha256_bytes(table.read_bytes()),
        key="the key",
        confirmed=Confirmation("val.json", 10, 0.5, 0.001, (-0.01, 0.02), 0.99),
    )


def test_a_report_is_read_back_whole(tmp_path: Path) -> None:
    table, path = tmp_path / "mixed.table", tmp_path / "search.json"
    table.write_text("a_param_0 1 \na 1 \n")
    path.write_text(report(table).text())
    assert matching_report(path, "the key", table) == report(table)
    assert matching_report(path, "another key", table) is None
    table.write_text("changed")
    assert matching_report(path, "the key", table) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "key": "k"}'])
def test_what_is_no_report_is_not_reused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "search.json"
    path.write_text(text)
    assert matching_report(path, "k", tmp_path / "mixed.table") is None


def test_the_summary_says_what_was_chosen_and_how_sure_it_is(tmp_path: Path) -> None:
    table = tmp_path / "mixed.table"
    table.write_text("")
    console = Console(width=120, record=True, file=StringIO())
    console.print(search_table(report(table)))
    text = " ".join(console.export_text().split())
    assert "chosen: mix" in text
    assert "+.001 [-.010, +.010]" in text
    assert "differs by 1.0%, and less than 3% is not claimed" in text
    assert (
        "Confirmed once on val.json: AP drop 0.0010 [-0.0100, 0.0200], OKS to fp32 0.9900" in text
    )
