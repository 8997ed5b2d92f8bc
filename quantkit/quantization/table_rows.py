"""A calibration table as a person reads it: a row for each layer with a matrix of weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from quantkit.calibration.table import CalibrationTable
from quantkit.model.eligibility import fp32_only, int8_layers
from quantkit.model.macs import macs, total_macs
from quantkit.model.network import Network
from quantkit.model.shape_rule import Shape
from quantkit.quantization.lint_levels import used_levels, weight_rows


@dataclass(frozen=True)
class TableRow:
    """One layer of a table.

    Attributes:
        layer: Its name.
        type: Its type; None where the network is not known.
        macs_share: Its share of the network's multiply-accumulates, 0 to 1; None likewise.
        threshold: The absolute activation value that becomes 127; None for a layer in fp32.
        weight_scales: Least and largest weight scale; None for a layer in fp32.
        levels: Least and most levels of a channel's weights, at most 127; None likewise.
        reason: Why the layer stays in fp32; None where it is int8.
    """

    layer: str
    type: str | None
    macs_share: float | None
    threshold: float | None
    weight_scales: tuple[float, float] | None
    levels: tuple[int, int] | None
    reason: str | None

    @property
    def bits(self) -> str:
        """Bits of the weights, such as `8` or `6.6 to 8`; empty where they are not known."""
        if self.levels is None:
            return ""
        least, most = (f"{math.log2(level + 1) + 1:.2g}" for level in self.levels)
        return least if least == most else f"{least} to {most}"


def table_rows(
    table: CalibrationTable,
    network: Network | None = None,
    shapes: Mapping[str, Shape] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> tuple[TableRow, ...]:
    """Lay a table out by layer, in the order of the network, or of the table without one.

    Args:
        table: The table.
        network: The fp32 network that it is for.
        shapes: Shape by blob name, of all blobs; without them there are no shares of the MACs.
        left_out: Why layers stay in fp32, as far as known.
    """
    reasons = left_out or {}
    if network is None:
        names = dict.fromkeys([*table.weight_scales, *table.activation_scales, *reasons])
        return tuple(_row(table, name, reasons) for name in names)
    total = total_macs(network.param.layers, shapes) if shapes else 0
    rows: list[TableRow] = []
    never = fp32_only(network)
    reasons = {**never, **reasons}
    shown = {layer.name for layer in int8_layers(network)} | never.keys()
    for layer in (layer for layer in network.param.layers if layer.name in shown):
        share = macs(layer, shapes) / total if shapes and total else None
        row = _row(table, layer.name, reasons)
        levels = _levels(network, table, layer.name) if row.reason is None else None
        rows.append(replace(row, type=layer.type, macs_share=share, levels=levels))
    return tuple(rows)


def _row(table: CalibrationTable, name: str, reasons: Mapping[str, str]) -> TableRow:
    scales, scale = table.weight_scales.get(name), table.activation_scales.get(name)
    if scales is None or scale is None:
        half = "it has only one of its two lines" if scales or scale else "it is not in the table"
        return TableRow(name, None, None, None, None, None, reasons.get(name, half))
    return TableRow(name, None, None, 127 / scale, (min(scales), max(scales)), None, None)


def _levels(network: Network, table: CalibrationTable, name: str) -> tuple[int, int] | None:
    rows, scales = weight_rows(network, network.param.layer(name)), table.weight_scales[name]
    if len(rows) != len(scales):
        return None
    # Channels whose weights are all zero have no levels at any scale.
    levels = [int(level) for level in used_levels(rows, scales) if level]
    return (min(levels), max(levels)) if levels else None
