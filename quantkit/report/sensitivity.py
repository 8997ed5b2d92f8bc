"""The ranking of the layers, worst first."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport


def sensitivity_table(report: SensitivityReport, worst: int | None = None) -> Group:
    """Draw a ranking for a terminal.

    Args:
        report: The ranking.
        worst: Show this many layers; all of them by default.
    """
    shown = report.layers[:worst]
    title = f"{report.model}: {len(shown)} of {len(report.layers)} layers, worst first"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("layer", overflow="fold")
    table.add_column("type")
    table.add_column("MACs", justify="right")
    table.add_column("SQNR, dB", justify="right")
    for place, layer in enumerate(shown, start=1):
        table.add_row(
            str(place), layer.name, layer.type, f"{layer.macs_share:.1%}", decibels(layer)
        )
    return Group(Text(title, "bold"), table, Text(_caption(report), "dim"))


def decibels(layer: LayerSensitivity) -> str:
    """Write a layer's figure, or what happened instead.

    Example:
        >>> from quantkit.sensitivity.figures import Effect
        >>> decibels(LayerSensitivity("conv", "Convolution", 0.5, 0.5, Effect(21.25)))
        '21.2'
    """
    if layer.died is not None:
        return layer.died
    return "no noise" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}"


def _caption(report: SensitivityReport) -> str:
    whole = report.all_int8.sqnr_db
    all_layers = "not finite" if whole is None else f"{whole:.1f} dB"
    return (
        f"SQNR: the network's output with this layer alone in int8, on {report.crops} crops of"
        f" {report.calibration_set}, table {report.table}. All layers in int8: {all_layers}."
    )
