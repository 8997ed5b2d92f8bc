"""The AP that each backend loses, with its paired 95 % interval."""

from quantkit.evaluation.comparison import Comparison, Row
from quantkit.report.plots.drop_axis import set_drop_axis
from quantkit.report.plots.figure import BLUE, GREY, INK, ORANGE, PURPLE, Axes, Figure, picture

_COLORS = {"fp32": BLUE, "fp16": PURPLE, "int8": ORANGE}


def draw_drops(comparison: Comparison) -> bytes:
    """Draw the drop of each backend against the baseline.

    Args:
        comparison: Rows with an AP; a backend without one is named with the reason's kind.

    Returns:
        A PNG file.
    """
    rows = comparison.rows

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            _draw_row(axes, place, row, comparison.baseline)
        _finish(axes, comparison)

    return picture(10, 1.1 + 0.32 * len(rows), draw)


def drop_ends(row: Row) -> tuple[float, ...]:
    """List a drop and the ends of its interval; nothing where it was not measured."""
    if row.ap_drop is None:
        return ()
    return (row.ap_drop, *(row.ap_drop_ci or ()))


def _draw_row(axes: Axes, place: int, row: Row, baseline: str | None) -> None:
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8.5}
    if row.ap is None or row.ap_drop is None:
        axes.text(1.02, place, row.status, color=GREY, **beside)
        return
    color = _COLORS.get(row.precision, INK)
    if row.backend == baseline:
        axes.plot(0, place, "D", color=INK, markersize=5)
        axes.text(1.02, place, f"AP {row.ap:.4f}   baseline", **beside)
        return
    if row.ap_drop_ci is not None:
        axes.plot(row.ap_drop_ci, (place, place), color=color, linewidth=2.2)
    axes.plot(row.ap_drop, place, "o", color=color, markersize=6)
    axes.text(1.02, place, f"AP {row.ap:.4f}   {_words(row)}", color=color, **beside)


def _words(row: Row) -> str:
    text = f"{row.ap_drop:+.4f}"
    if row.ap_drop_ci is None:
        return text
    return f"{text}  [{row.ap_drop_ci[0]:+.4f}, {row.ap_drop_ci[1]:+.4f}]"


def _finish(axes: Axes, comparison: Comparison) -> None:
    rows = comparison.rows
    set_drop_axis(axes, [one for row in rows for one in drop_ends(row)])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.backend for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"AP lost against {comparison.baseline}, paired 95 % interval (right is worse)")
