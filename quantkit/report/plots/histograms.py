"""What flows into layers, and where a table cuts it off."""

from collections.abc import Sequence

import numpy as np

from quantkit.report.layer_view import LayerView
from quantkit.report.plots.figure import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    Axes,
    Figure,
    picture,
    set_log,
    short_name,
)

_BARS = 128
_COLUMNS = 2
_OTHERS = (GREEN, PURPLE)


def draw_histograms(layers: Sequence[LayerView]) -> bytes:
    """Draw the input of each layer as a histogram with logarithmic counts, and its thresholds.

    Args:
        layers: At least one.

    Returns:
        A PNG file.
    """
    rows = -(-len(layers) // _COLUMNS)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, min(_COLUMNS, len(layers)), squeeze=False).flat
        for place, axes in enumerate(panels):
            if place >= len(layers):
                axes.set_axis_off()
                continue
            _panel(axes, layers[place])
            if place % _COLUMNS == 0:
                axes.set_ylabel("values of a sample")

    return picture(10, 3.0 * rows, draw)


def _panel(axes: Axes, layer: LayerView) -> None:
    seen = layer.statistics
    counts = seen.histogram.reshape(_BARS, -1).sum(axis=1)
    if seen.absmax > 0:
        edges = np.linspace(0, seen.absmax, _BARS + 1)
        axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.75)
    end = max(seen.absmax, layer.threshold)
    if layer.threshold < seen.absmax:
        axes.axvspan(layer.threshold, end, color=ORANGE, alpha=0.13, linewidth=0)
    top = max(1, int(counts.max()))
    set_log(axes, 1, top)
    axes.set_ylim(0.7, top**1.35 * 2)
    axes.set_xlim(0, end * 1.02)
    _thresholds(axes, layer, end)
    axes.set_title(short_name(layer.name, 44), fontweight="bold", pad=14)
    axes.text(0, 1.015, _facts(layer), transform=axes.transAxes, fontsize=8)
    axes.set_xlabel("absolute value of the input")


def _thresholds(axes: Axes, layer: LayerView, end: float) -> None:
    lines = [("table", layer.threshold, ORANGE, 1.8)]
    for (name, value), color in zip(layer.others.items(), _OTHERS, strict=False):
        lines.append((name, value, color, 1.1))
    for place, (name, value, color, width) in enumerate(lines):
        if value > end:
            continue
        axes.axvline(value, color=color, linewidth=width)
        left = value > 0.6 * end
        axes.annotate(
            f"{name} {value:.4g}",
            (value, 0.96 - 0.085 * place),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-3 if left else 3, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top",
            fontsize=8,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
        )


def _facts(layer: LayerView) -> str:
    zeros = layer.statistics.zero_fraction
    besides = f"; {zeros:.0%} are zero and not drawn" if zeros > 0 else ""
    return f"{layer.clipped} clipped, largest {layer.statistics.absmax:.4g}{besides}"
