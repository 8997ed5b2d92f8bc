"""Labels beside points that lie close together."""

from collections.abc import Sequence
from typing import Any, Final

from quantkit.report.plots.figure import INK, Axes

_FONT: Final = 8.0
_CLEAR: Final = 5  # pixels: about the radius of a point
_OFFSETS: Final = tuple(
    (dx * far, dy * far, ha, va)
    for far in (6, 12, 20, 30, 42)
    for dx, dy, ha, va in (
        (1, 0, "left", "center"),
        (0.7, 0.8, "left", "bottom"),
        (0.7, -0.8, "left", "top"),
        (-1, 0, "right", "center"),
        (-0.7, 0.8, "right", "bottom"),
        (-0.7, -0.8, "right", "top"),
    )
)


def place_labels(
    axes: Axes, labels: Sequence[tuple[str, float, float]], points: Sequence[tuple[float, float]]
) -> None:
    """Write labels beside their points where they cover neither each other nor another point.

    Args:
        axes: Laid out: its limits do not change any more.
        labels: Text, x and y, the most important first; one that finds no room is left out, but
            for the first.
        points: All points that are drawn.
    """
    inside = axes.get_window_extent()
    taken: list[Any] = []
    dots = [axes.transData.transform(point) for point in points]
    for number, (text, x, y) in enumerate(labels):
        own = axes.transData.transform((x, y))
        others = [dot for dot in dots if abs(dot - own).max() > 1]
        for dx, dy, ha, va in _OFFSETS:
            label = axes.annotate(
                text,
                (x, y),
                xytext=(dx, dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=_FONT,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75},
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkB": 3}
                if abs(dx) + abs(dy) > 14
                else None,
            )
            box = label.get_window_extent().padded(_CLEAR)
            free = not any(box.overlaps(other) for other in taken)
            clear = not any(box.contains(*dot) for dot in others)
            within = box.x0 >= inside.x0 and box.x1 <= inside.x1
            level = box.y0 >= inside.y0 and box.y1 <= inside.y1
            if free and clear and within and level:
                taken.append(box)
                break
            label.remove()
        else:
            if not number:
                axes.annotate(text, (x, y), fontsize=_FONT)
