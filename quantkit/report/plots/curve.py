"""How the tables of a network settle: SQNR, AP drop and scales against the number of crops."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from quantkit.report.plots.figure import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    Axes,
    Figure,
    picture,
    set_log,
)
from quantkit.stability.points import Point
from quantkit.stability.report import CurveReport
from quantkit.stability.summary import SizeSummary, Spread

_LEAST_PERCENT: Final = 0.1
"""Spreads below it are drawn at it: a logarithmic axis has no zero."""
_LEAST_DB: Final = 1.0
_LEAST_AP: Final = 0.01
"""The least that an axis spans: less is noise, and must not fill the panel."""
_APART: Final = 0.12
"""How far the points of one size are spread, in doublings, so that none hides another."""


def draw_curve(report: CurveReport) -> bytes:
    """Draw a curve in three panels, with the recommended size marked; in two without an AP.

    Args:
        report: The curve.

    Returns:
        A PNG file.
    """

    def draw(figure: Figure) -> None:
        with_ap = report.fp32_ap is not None
        panels = figure.subplots(1, 3 if with_ap else 2)
        _seeds(panels[0], report, lambda one: one.sqnr_db, lambda one: one.sqnr_db)
        panels[0].set_title("output SQNR, dB")
        _widen(panels[0], _LEAST_DB)
        if with_ap:
            _seeds(panels[1], report, lambda one: one.ap_drop, lambda one: one.ap_drop)
            panels[1].set_title("AP drop")
            _widen(panels[1], _LEAST_AP)
        _scales(panels[-1], report)
        for axes in panels:
            _sizes(axes, report)
        _legend(figure, panels, report)

    return picture(10, 3.9, draw)


def _seeds(
    axes: Axes,
    report: CurveReport,
    figure_of: Callable[[Point], float | None],
    spread_of: Callable[[SizeSummary], Spread | None],
) -> None:
    for point in report.points:
        value = figure_of(point)
        if value is not None:
            axes.plot(_beside(report, point), value, "o", color=GREY, markersize=3, zorder=3)
    known = [(one.size, spread) for one in report.summaries if (spread := spread_of(one))]
    sizes = [size for size, _ in known]
    axes.fill_between(
        sizes,
        [one.mean - one.deviation for _, one in known],
        [one.mean + one.deviation for _, one in known],
        color=BLUE,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(sizes, [one.mean for _, one in known], "-o", color=BLUE, markersize=4.5, zorder=4)


def _widen(axes: Axes, least: float) -> None:
    low, high = axes.get_ylim()
    missing = max(0.0, least - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)


def _beside(report: CurveReport, point: Point) -> float:
    place = report.seeds.index(point.seed) / max(1, len(report.seeds) - 1) - 0.5
    return float(point.size * 2 ** (2 * _APART * place))


def _scales(axes: Axes, report: CurveReport) -> None:
    names = list(dict.fromkeys(name for one in report.summaries for name in one.scale_spreads))
    highest = _LEAST_PERCENT
    for name in names:
        known = [one for one in report.summaries if name in one.scale_spreads]
        values = [_percent(one.scale_spreads[name]) for one in known]
        highest = max(highest, *values)
        axes.plot([one.size for one in known], values, color=PALE, linewidth=0.6, zorder=2)
    some = [one for one in report.summaries if one.scale_spreads]
    sizes = [one.size for one in some]
    medians = [_percent(one.median_scale_spread or 0) for one in some]
    worst = [_percent(max(one.scale_spreads.values())) for one in some]
    axes.plot(sizes, worst, "-o", color=ORANGE, markersize=4.5, zorder=4)
    axes.plot(sizes, medians, "-o", color=BLUE, markersize=4.5, zorder=4)
    set_log(axes, _LEAST_PERCENT, highest)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"spread of the layers' scales, %, from {_LEAST_PERCENT:g}")


def _percent(share: float) -> float:
    return max(100 * share, _LEAST_PERCENT)


def _sizes(axes: Axes, report: CurveReport) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(report.sizes, [str(size) for size in report.sizes])
    axes.set_xticks([], minor=True)
    low, high = report.sizes[0] / 2**0.4, report.sizes[-1] * 2**0.4
    axes.set_xlim(low, high)
    axes.set_xlabel("crops")
    if report.pool / 2 < high:
        # From here on two sets have more than half of their persons in common.
        axes.axvspan(max(low, report.pool / 2), high, color="#f1f1f1", linewidth=0, zorder=0)
    if report.recommended.size is not None:
        axes.axvline(report.recommended.size, color=INK, linestyle="--", linewidth=1, zorder=1)


def _legend(figure: Figure, panels: Sequence[Axes], report: CurveReport) -> None:
    def line(label: str, **style: Any) -> Any:
        # A line without points is not drawn, but can stand in a legend.
        return panels[0].plot([], [], label=label, **style)[0]

    handles = [
        line("a seed", color=GREY, marker="o", markersize=3, linestyle=""),
        line("mean ± deviation, median layer", color=BLUE, marker="o", markersize=4.5),
        line("worst layer", color=ORANGE, marker="o", markersize=4.5),
    ]
    if report.recommended.size is not None:
        handles.append(
            line(f"recommended: {report.recommended.size}", color=INK, linestyle="--", linewidth=1)
        )
    if report.sizes[-1] * 2**0.4 > report.pool / 2:
        handles.append(line("sets share more than half", color="#e3e3e3", linewidth=6))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
