"""Every layer of a ranking in one picture, for networks of more layers than names fit."""

from quantkit.report.plots.figure import (
    GREY,
    INK,
    TYPE_COLORS,
    Axes,
    Figure,
    picture,
    short_name,
)
from quantkit.report.plots.labels import place_labels
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport

_NAMED = 3


def draw_all_layers(report: SensitivityReport) -> bytes:
    """Draw the output SQNR of each layer alone in int8, from the worst layer to the best.

    Args:
        report: The ranking.

    Returns:
        A PNG file.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        placed = list(enumerate(report.layers, start=1))
        for name in sorted({layer.type for layer in report.layers}):
            points = [(k, one.sqnr_db) for k, one in placed if one.type == name]
            shown = [point for point in points if point[1] is not None]
            color = TYPE_COLORS.get(name, GREY)
            label = f"{name}, {len(points)}"
            axes.plot(
                [k for k, _ in shown],
                [db for _, db in shown],
                "o",
                color=color,
                markersize=3.5,
                label=label,
            )
        ranks = [(k, one.alone.peak_noise_db) for k, one in placed]
        if any(ratio is not None for _, ratio in ranks):
            label = "peak to noise, which ranks"
            axes.plot(*zip(*ranks, strict=True), color=GREY, linewidth=1, label=label, zorder=1)
        _whole(axes, report)
        axes.set_xlim(0, len(placed) + 1)
        axes.set_xlabel("place in the ranking")
        axes.set_ylabel("alone in int8: output SQNR, dB")
        axes.legend(loc="upper left", ncols=4)
        axes.margins(y=0.16)
        _name_worst(figure, axes, placed)

    return picture(10, 3.4, draw)


def _name_worst(figure: Figure, axes: Axes, placed: list[tuple[int, LayerSensitivity]]) -> None:
    known = [(k, one.sqnr_db, one.name) for k, one in placed if one.sqnr_db is not None]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    labels = [(short_name(name, 40), float(k), db) for k, db, name in known[:_NAMED]]
    place_labels(axes, labels, [(k, db) for k, db, _ in known])


def _whole(axes: Axes, report: SensitivityReport) -> None:
    whole = report.all_int8.sqnr_db
    if whole is not None:
        axes.axhline(whole, color=INK, linewidth=0.8, linestyle="--")
        end = len(report.layers)
        text = f"all layers in int8: {whole:.1f} dB"
        axes.annotate(
            text, (end, whole), xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8
        )
