"""The weight ranges of layers by output channel, and the levels that int8 uses of each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.report.layer_view import LayerView
from quantkit.report.plots.figure import (
    BLUE,
    GREY,
    ORANGE,
    Axes,
    Figure,
    picture,
    set_log,
    short_name,
)

Order = NDArray[np.int64]

_MOST = 127
_FEW = 64


def draw_weights(layers: Sequence[LayerView]) -> bytes:
    """Draw the largest weight of each channel, sorted, and under it the integer it becomes.

    Args:
        layers: At least one; four fit the page.

    Returns:
        A PNG file.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2, len(layers), squeeze=False, sharex="col")
        for column, layer in enumerate(layers):
            order = np.argsort(layer.weight_absmax, kind="stable")[::-1]
            _ranges(panels[0][column], layer, order)
            _levels(panels[1][column], layer, order)
        panels[0][0].set_ylabel("largest |weight|")
        panels[1][0].set_ylabel("largest integer")

    return picture(10, 4.6, draw)


def _ranges(axes: Axes, layer: LayerView, order: Order) -> None:
    sizes = layer.weight_absmax[order]
    alive = int(np.count_nonzero(sizes))
    axes.plot(np.arange(1, alive + 1), sizes[:alive], ".", color=BLUE, markersize=3.5)
    if alive:
        set_log(axes, sizes[alive - 1], sizes[0])
    axes.set_title(short_name(layer.name, 22), fontweight="bold", pad=14)
    axes.text(0, 1.02, _facts(layer, len(sizes) - alive), transform=axes.transAxes, fontsize=8)


def _levels(axes: Axes, layer: LayerView, order: Order) -> None:
    levels = layer.levels[order]
    colors = np.where(levels < _FEW, ORANGE, BLUE)
    axes.scatter(np.arange(1, len(levels) + 1), levels, s=5, c=list(colors))
    axes.axhline(_MOST, color=GREY, linewidth=0.8)
    axes.set_ylim(0, _MOST * 1.08)
    axes.set_yticks([0, 31, 63, _MOST])
    axes.set_xlabel("output channel, sorted")


def _facts(layer: LayerView, dead: int) -> str:
    spread = layer.weight_range
    parts = [] if spread is None else [f"largest {spread:.3g}x the least"]
    if dead:
        parts.append(f"{dead} dead")
    return ", ".join(parts)
