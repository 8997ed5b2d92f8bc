"""How many crops a table needs, in figures and sentences, and as a table for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from quantkit.stability.disjoint import Disagreement, DisjointSets
from quantkit.stability.report import CurveReport
from quantkit.stability.summary import SizeSummary, Spread

COLUMNS: Final = ("crops", "shared", "SQNR, dB", "AP drop", "OKS", "scales", "worst", "layer")
_SCORES: Final = ("AP drop", "OKS")

_NAMED: Final = 5
"""Layers and outliers that are listed; the file holds them all."""
_LAYERS: Final = 3


def curve_table(report: CurveReport) -> Group:
    """Draw a curve for a terminal of 100 columns.

    Args:
        report: The curve.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names, rows = curve_rows(report)
    for name in names[:-1]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(names[-1], overflow="fold")
    for one, row in zip(report.summaries, rows, strict=True):
        bold = one.size == report.recommended.size
        table.add_row(*row, style="bold" if bold else None)
    return Group(
        Text(curve_title(report), "bold"),
        table,
        Text(curve_caption(report), "dim"),
        Text(),
        Text(recommendation_line(report), "bold"),
        *(Padding(Text(line), (0, 0, 0, pad)) for line, pad in _details(report)),
    )


def curve_title(report: CurveReport) -> str:
    """Say of what the figures are."""
    return f"{report.model}: {report.method} tables of {len(report.seeds)} seeds a size"


def curve_rows(report: CurveReport) -> tuple[list[str], list[list[str]]]:
    """Write the figures of each size.

    Returns:
        The names of the columns, without OKS and AP where they are not defined, and a row a size.
    """
    rows = [_row(one) for one in report.summaries]
    used = [
        k for k, name in enumerate(COLUMNS) if name not in _SCORES or report.fp32_ap is not None
    ]
    return [COLUMNS[k] for k in used], [[row[k] for k in used] for row in rows]


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


def curve_caption(report: CurveReport) -> str:
    """Say what the columns are, and whom the figures rest on."""
    against = "the labels" if report.labels == "labels" else "the fp32 keypoints as labels"
    scored = (
        ""
        if report.fp32_ap is None
        else (f"; AP against {against}, where fp32 has {report.fp32_ap:.3f}")
    )
    return (
        "mean ± standard deviation over the seeds; scales: relative standard deviation of the"
        " activation scale of the median layer, and of the worst; shared: persons that two sets of"
        f" a size have in common, on average. Drawn from {report.pool} persons and judged on"
        f" {report.held_out} persons of other images, against fp32{scored}."
    )


def curve_findings(report: CurveReport) -> Iterator[tuple[str, Sequence[str]]]:
    """Say how disjoint sets disagree and which crops are outliers, each with what it is about."""
    for one in report.disjoint:
        lines = [disagreement_line(layer) for layer in one.disagreements]
        yield disjoint_line(report, one), _first(lines)
    if report.outliers:
        head = "Crops that alone set the largest value of layers:"
        yield head, _first([outlier_line(one) for one in report.outliers])


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
        'a.jpg (7): 2.5 times the rest in a, b, c and 1 more'
    """
    return f"{one['file_name']} ({one['annotation_id']}): {outlier_reason(one)}"


def outlier_reason(one: Mapping[str, Any]) -> str:
    """Say in which layers such a crop stands alone, and how far.

    Example:
        >>> outlier_reason({"layers": ["a", "b"], "factor": 2.5})
        '2.5 times the rest in a, b'
    """
    layers = list(map(str, one["layers"]))
    more = f" and {len(layers) - _LAYERS} more" if len(layers) > _LAYERS else ""
    return f"{one['factor']:.1f} times the rest in {', '.join(layers[:_LAYERS])}{more}"


def _plus_minus(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "-"
    return f"{form.format(spread.mean)} ± {form.format(spread.deviation)}"


def _details(report: CurveReport) -> Iterator[tuple[str, int]]:
    for head, lines in curve_findings(report):
        yield head, 0
        yield from ((line, 2) for line in lines)


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return [*lines[:_NAMED], *more]
