"""What a search tried: accuracy against latency, and against the work that stays in fp32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from quantkit.report.plots.drop_axis import set_drop_axis
from quantkit.report.plots.figure import BLUE, GREY, INK, ORANGE, PALE, Axes, Figure, picture
from quantkit.report.plots.labels import place_labels
from quantkit.sensitivity.search_report import SearchReport, Tried

Value = Callable[[Tried], float | None]
_FP32: Final = "fp32"


@dataclass(frozen=True)
class _Scale:
    """One axis: where its values come from."""

    label: str
    value: Value
    smaller_is_better: bool = True
    is_drop: bool = False


def draw_pareto(report: SearchReport) -> bytes:
    """Draw every mix that was tried in four panels, each with its own front.

    Points are numbered as the mixes stand in the report, from 1; those of a front, and the one that
    was chosen.

    Args:
        report: The search.

    Returns:
        A PNG file.
    """
    across = (_latency(report), _Scale("share of MACs in fp32, %", lambda one: 100 * one.fp32_macs))
    up = (_Scale("output SQNR, dB (high is better)", _sqnr, smaller_is_better=False), _drop(report))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2, 2, sharex="col", sharey="row")
        for row, y in zip(panels, up, strict=True):
            for axes, x in zip(row, across, strict=True):
                _points(axes, report, x, y)
        for axes, x in zip(panels[1], across, strict=True):
            axes.set_xlabel(x.label)
        for row, y in zip(panels, up, strict=True):
            row[0].set_ylabel(y.label)
            if y.is_drop:
                set_drop_axis(row[0], _ends(report.tried), axis="y")
        _bounds(panels, report, up)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for row, y in zip(panels, up, strict=True):
            for axes, x in zip(row, across, strict=True):
                _labels(axes, report, x, y)

    return picture(10, 7.2, draw)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other beats in both values, smaller being better, along the first.

    Example:
        >>> front([(1.0, 3.0), (2.0, 2.0), (3.0, 2.5), (4.0, 1.0)])
        [0, 1, 3]
    """
    found: list[int] = []
    for k in sorted(range(len(points)), key=lambda k: points[k]):
        if not found or points[k][1] < points[found[-1]][1]:
            found.append(k)
    return found


def _latency(report: SearchReport) -> _Scale:
    if any(one.median_ms is not None for one in report.tried):
        return _Scale("median latency, ms", lambda one: one.median_ms)
    return _Scale("predicted time of the layers, ms", lambda one: one.predicted_ms)


def _sqnr(one: Tried) -> float | None:
    return None if one.effect is None else one.effect.sqnr_db


def _drop(report: SearchReport) -> _Scale:
    if any(one.effect is not None and one.effect.ap_drop is not None for one in report.tried):
        return _Scale("AP drop (low is better)", _ap_drop, is_drop=True)
    if any(one.effect is not None and one.effect.oks_drop is not None for one in report.tried):
        return _Scale("OKS drop against fp32 (low is better)", _oks_drop)
    return _Scale("mean shift of keypoints, px of the input (low is better)", _shift)


def _ap_drop(one: Tried) -> float | None:
    if one.name == _FP32:
        return 0.0
    return None if one.effect is None else one.effect.ap_drop


def _oks_drop(one: Tried) -> float | None:
    if one.name == _FP32:
        return 0.0
    return None if one.effect is None else one.effect.oks_drop


def _shift(one: Tried) -> float | None:
    if one.name == _FP32:
        return 0.0
    return None if one.effect is None else one.effect.peak_shift_px


def _ends(tried: Sequence[Tried]) -> list[float]:
    """Only the drops: the intervals are wider than what tells the mixes apart."""
    return [drop for one in tried if (drop := _ap_drop(one)) is not None]


def _placed(report: SearchReport, x: _Scale, y: _Scale) -> dict[int, tuple[float, float]]:
    found = {}
    for k, one in enumerate(report.tried):
        at = x.value(one), y.value(one)
        if at[0] is not None and at[1] is not None:
            found[k] = (at[0], at[1])
    return found


def _on_front(placed: dict[int, tuple[float, float]], y: _Scale) -> list[int]:
    sign = 1 if y.smaller_is_better else -1
    keys = list(placed)
    return [keys[k] for k in front([(x, sign * up) for x, up in placed.values()])]


def _points(axes: Axes, report: SearchReport, x: _Scale, y: _Scale) -> None:
    placed = _placed(report, x, y)
    best = _on_front(placed, y)
    axes.plot(*_split([placed[k] for k in best]), color=BLUE, linewidth=1, alpha=0.6)
    for k, (at, up) in placed.items():
        one = report.tried[k]
        holds = one.broken is None
        color = ORANGE if one.name == report.chosen else BLUE if k in best else GREY
        axes.plot(
            at,
            up,
            "o",
            markersize=8 if one.name == report.chosen else 5,
            markerfacecolor=color if holds else "white",
            markeredgecolor=color,
            zorder=4 if one.name == report.chosen else 3,
        )


def _split(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _labels(axes: Axes, report: SearchReport, x: _Scale, y: _Scale) -> None:
    placed = _placed(report, x, y)
    chosen = [k for k in placed if report.tried[k].name == report.chosen]
    known = [k for k in placed if report.tried[k].name in _KNOWN]
    order = dict.fromkeys([*chosen, *known, *_on_front(placed, y)])
    place_labels(axes, [(_label(report, k), *placed[k]) for k in order], list(placed.values()))


_KNOWN: Final = {"fp32": "fp32", "fp32 with bf16 storage": "bf16", "all int8": "all int8"}


def _label(report: SearchReport, place: int) -> str:
    name, number = report.tried[place].name, place + 1
    if name == report.chosen:
        return f"chosen ({number})"
    return f"{_KNOWN[name]} ({number})" if name in _KNOWN else str(number)


def _bounds(panels: Sequence[Sequence[Axes]], report: SearchReport, up: Sequence[_Scale]) -> None:
    bounds = (report.bounds.min_sqnr, report.bounds.max_drop if up[1].is_drop else None)
    for row, bound in zip(panels, bounds, strict=True):
        for axes in row:
            if bound is not None:
                axes.axhline(bound, color=INK, linewidth=0.9, linestyle="--", zorder=1)
    panels[0][0].set_title("dashed: the bound;  filled: holds the bounds;  line: the front")
    for axes in panels[1]:
        axes.axhline(0, color=PALE, linewidth=0.9, zorder=1)
