"""How many crops a table needs, for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from quantkit.stability.disjoint import Disagreement, DisjointSets
from quantkit.stability.report import CurveReport
from quantkit.stability.summary import SizeSummary, Spread

_NAMED: Final = 5
"""Layers and outliers that are listed; the file holds them all."""
_LAYERS: Final = 3


def curve_table(report: CurveReport) -> Group:
    """Draw a curve for a terminal of 100 columns.

    Args:
        report: The curve.
    """
    title = f"{report.model}: {report.method} tables of {len(report.seeds)} seeds a size"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("crops", "shared", "SQNR, dB", "AP drop", "OKS", "scales", "worst"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("layer", overflow="fold")
    for one in report.summaries:
        bold = one.size == report.recommended.size
        table.add_row(*_row(one), style="bold" if bold else None)
    return Group(
        Text(title, "bold"),
        table,
        Text(_caption(report), "dim"),
        Text(),
        Text(recommendation_line(report), "bold"),
        *(Padding(Text(line), (0, 0, 0, pad)) for line, pad in _details(report)),
    )


def recommendation_line(report: CurveReport) -> str:
    """Say which size is recommended, and why."""
    found = report.recommended
    head = (
        "No size is recommended: the curve has not settled."
        if found.size is None
        else f"Recommended: {found.size} crops."
    )
    return f"{head} {found.reason}"


def disjoint_line(report: CurveReport, one: DisjointSets) -> str:
    """Say how well the tables of two disjoint sets agree."""
    off = len(one.disagreements)
    named = f"{off} of {one.layers} layers" if off else "no layer"
    median = (
        ""
        if one.median_ratio is None
        else f", that of the median layer by {one.median_ratio - 1:.1%}"
    )
    sqnr = "" if one.sqnr_db is None else f"; one network against the other: {one.sqnr_db:.1f} dB"
    return (
        f"Two disjoint sets of {one.size}, seed {one.seed}: the scales of {named} differ by more"
        f" than {report.tolerance:.0%}{median}{sqnr}"
    )


def disagreement_line(one: Disagreement) -> str:
    """Write a layer with its two scales.

    Example:
        >>> disagreement_line(Disagreement("conv6", 10.84, 39.65, 3.658))
        'conv6: 10.84 and 39.65, 3.66 times'
        >>> disagreement_line(Disagreement("conv6", None, 39.65, None))
        'conv6: fp32 and 39.65'
    """
    scales = ["fp32" if scale is None else f"{scale:.4g}" for scale in (one.first, one.second)]
    times = "" if one.ratio is None else f", {max(one.ratio, 1 / one.ratio):.2f} times"
    return f"{one.layer}: {' and '.join(scales)}{times}"


def outlier_line(one: Mapping[str, Any]) -> str:
    """Write a crop that alone sets the largest value of layers.

    Example:
        >>> layers = ["a", "b", "c", "d"]
        >>> outlier_line(
        ...     {"annotation_id": 7, "file_name": "a.jpg", "layers": layers, "factor": 2.5}
        ... )
        'a.jpg (7): 2.5 times the next crop in a, b, c and 1 more'
    """
    layers = list(map(str, one["layers"]))
    more = f" and {len(layers) - _LAYERS} more" if len(layers) > _LAYERS else ""
    return (
        f"{one['file_name']} ({one['annotation_id']}): {one['factor']:.1f} times the next crop in"
        f" {', '.join(layers[:_LAYERS])}{more}"
    )


def _row(one: SizeSummary) -> list[str]:
    median, worst = one.median_scale_spread, one.worst_layer
    return [
        str(one.size),
        f"{one.shared:.0%}",
        _plus_minus(one.sqnr_db, "{:.2f}"),
        _plus_minus(one.ap_drop, "{:.4f}"),
        "" if one.oks is None else f"{one.oks.mean:.4f}",
        "" if median is None else f"{median:.1%}",
        "" if worst is None else f"{one.scale_spreads[worst]:.0%}",
        worst or "",
    ]


def _plus_minus(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "-"
    return f"{form.format(spread.mean)} ± {form.format(spread.deviation)}"


def _details(report: CurveReport) -> Iterator[tuple[str, int]]:
    for one in report.disjoint:
        yield disjoint_line(report, one), 0
        yield from ((disagreement_line(layer), 2) for layer in one.disagreements[:_NAMED])
        yield from _and_more(len(one.disagreements))
    if report.outliers:
        yield "Crops that alone set the largest value of layers:", 0
        yield from ((outlier_line(one), 2) for one in report.outliers[:_NAMED])
        yield from _and_more(len(report.outliers))


def _and_more(count: int) -> Iterator[tuple[str, int]]:
    if count > _NAMED:
        yield f"and {count - _NAMED} more", 2


def _caption(report: CurveReport) -> str:
    against = "the labels" if report.labels == "labels" else "the fp32 keypoints as labels"
    return (
        "mean ± standard deviation over the seeds; scales: relative standard deviation of the"
        " activation scale of the median layer, and of the worst; shared: persons that two sets of"
        f" a size have in common, on average. Drawn from {report.pool} persons and judged on"
        f" {report.held_out} persons of other images, against fp32; AP against {against}, where"
        f" fp32 has {report.fp32_ap:.3f}."
    )
