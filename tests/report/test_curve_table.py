"""The table of a curve, on a terminal of 100 columns."""

from dataclasses import replace

from rich.console import Console

from quantkit.report.curve import curve_table
from quantkit.stability.recommendation import Recommendation
from quantkit.stability.report import CurveReport
from tests.stability.made_up import points, report

LONG = "mobilenetv20_features_linearbottleneck15_conv2_fwd"
OUTLIER = {"annotation_id": 5, "file_name": "a.jpg", "layers": [LONG] * 5, "factor": 1.8}


def drawn(made: CurveReport) -> str:
    console = Console(width=100, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(curve_table(made))
    return captured.get()


def test_every_figure_is_readable_at_a_hundred_columns() -> None:
    made = report(points(lambda size, seed: -12.25 + seed), outliers=[OUTLIER] * 7)
    longer = [
        replace(one, scales={LONG: one.scales["stem"] + one.seed, "head": 1.0})
        for one in made.points
    ]
    text = drawn(replace(made, points=tuple(longer)))
    assert max(map(len, text.splitlines())) <= 100
    for figure in ("-10.25 ± 1.58", "0.0100 ± 0.0000", "0.9900", "and 2 more", "a.jpg (5): 1.8"):
        assert figure in text, figure
    assert "…" not in text


def test_the_recommendation_and_its_reason_are_said() -> None:
    text = " ".join(drawn(report()).split())
    assert "Recommended: 16 crops. Up to 64 crops the mean SQNR" in text
    none = replace(report(), recommended=Recommendation(None, "It goes on."))
    assert "No size is recommended: the curve has not settled. It goes on." in drawn(none)


def test_layers_that_disagree_are_named_with_both_scales() -> None:
    text = drawn(report())
    assert "head: 10 and 14, 1.40 times" in text
    assert "gone: 3 and fp32" in text
    assert "the scales of 2 of 2 layers differ by more than 10%" in " ".join(text.split())


def test_a_size_without_figures_has_a_dash() -> None:
    made = report(points(lambda size, seed: None if size == 8 else 20.0))
    (row,) = [line for line in drawn(made).splitlines() if line.split()[:1] == ["8"]]
    assert row.split()[2] == "-"
