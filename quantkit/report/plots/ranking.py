"""The worst layers: what each does alone, what it would bring in fp32, and the AP it costs."""

from collections.abc import Sequence
from typing import Final

from quantkit.report.plots.drop_axis import set_drop_axis
from quantkit.report.plots.figure import (
    GREY,
    INK,
    TYPE_COLORS,
    Axes,
    Figure,
    picture,
    short_name,
)
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport

WORST: Final = 24
"""Layers that a picture has room for."""
_MARGIN_DB: Final = 3.0


def draw_ranking(report: SensitivityReport) -> bytes:
    """Draw the worst layers of a ranking, the worst on top.

    Args:
        report: The ranking.

    Returns:
        A PNG file.
    """
    layers = report.layers[:WORST]
    with_ap = any(layer.alone.ap_drop is not None for layer in layers)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 3 if with_ap else 2, sharey=True, squeeze=False)[0]
        _alone(panels[0], layers)
        _gain(panels[1], layers, report)
        if with_ap:
            _drops(panels[2], layers)
        names = [f"{k}  {short_name(layer.name)}" for k, layer in enumerate(layers, start=1)]
        panels[0].set_yticks(range(len(layers)), names)
        panels[0].set_ylim(len(layers) - 0.4, -0.6)
        for axes in panels:
            axes.tick_params(axis="y", length=0)
        _types(figure, layers)

    return picture(10, 1.5 + 0.23 * len(layers), draw)


def _alone(axes: Axes, layers: Sequence[LayerSensitivity]) -> None:
    both = [one for layer in layers for one in (layer.sqnr_db, layer.alone.peak_noise_db)]
    known = [one for one in both if one is not None] or [0.0]
    low, high = min(known) - _MARGIN_DB, max(known) + _MARGIN_DB
    for place, layer in enumerate(layers):
        color = TYPE_COLORS.get(layer.type, GREY)
        if layer.died is not None:
            axes.text(low, place, layer.died, color=color, va="center", fontsize=8)
        elif layer.sqnr_db is None:
            axes.text(high, place, "no noise", color=color, va="center", ha="right", fontsize=8)
        else:
            axes.plot(layer.sqnr_db, place, "o", color=color, markersize=5)
        if layer.alone.peak_noise_db is not None:
            axes.plot(layer.alone.peak_noise_db, place, "|", color=color, markersize=9)
    axes.set_xlim(low, high)
    axes.set_title("this layer alone in int8")
    ranks = ", | peak to noise (ranks)" if len(known) > len(layers) else ""
    axes.set_xlabel(f"● SQNR{ranks}, dB")


def _gain(axes: Axes, layers: Sequence[LayerSensitivity], report: SensitivityReport) -> None:
    for place, layer in enumerate(layers):
        gain = layer.gain_db(report.all_int8)
        if gain is not None:
            axes.barh(place, gain, 0.55, color=TYPE_COLORS.get(layer.type, GREY))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.08)
    axes.set_title("this layer in fp32, all others in int8")
    whole = report.all_int8.sqnr_db
    above = "" if whole is None else f" on {whole:.1f} dB of all in int8"
    axes.set_xlabel(f"gain, dB{above}")


def _drops(axes: Axes, layers: Sequence[LayerSensitivity]) -> None:
    values: list[float] = []
    for place, layer in enumerate(layers):
        drop, interval = layer.alone.ap_drop, layer.alone.ap_drop_ci
        if drop is None:
            continue
        color = TYPE_COLORS.get(layer.type, GREY)
        values += [drop, *(interval or ())]
        if interval is not None:
            axes.plot(interval, (place, place), color=color, linewidth=1.8)
        axes.plot(drop, place, "o", color=color, markersize=4.5)
    set_drop_axis(axes, values)
    if axes.get_xscale() == "linear":
        axes.locator_params(axis="x", nbins=5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_title("AP lost by this layer alone in int8")
    axes.set_xlabel("AP drop, 95 % interval (right is worse)")


def _types(figure: Figure, layers: Sequence[LayerSensitivity]) -> None:
    for k, name in enumerate(sorted({layer.type for layer in layers})):
        color = TYPE_COLORS.get(name, GREY)
        figure.text(0.01 + 0.16 * k, 0.995, f"● {name}", color=color, va="top", fontsize=8.5)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.96))
