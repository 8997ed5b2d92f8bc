"""Whether the 3x3 weights of a table have more levels than F43 can bear, or too few."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.finding import Finding
from quantkit.calibration.table_lines import Entries, Row
from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.weight_scales import scale_count
from quantkit.calibration.winograd_bound import (
    FEWEST_LEVELS,
    MOST_EXACT,
    bounded_levels,
    largest_sums,
    may_run_winograd,
)
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.param import Layer

_WORTHWHILE: Final = 1.25


def level_findings(network: Network, table: Entries) -> Iterator[Finding]:
    """Look at the integers that the 3x3 weights become.

    Args:
        network: The fp32 network.
        table: The table; layers whose scales do not fit are passed over.

    Yields:
        An error for a layer of more than 31 levels that could overflow, a warning for one of 31,
        a hint for one of 31 that could have more.
    """
    nonnegative = nonnegative_blobs(network.param)
    for layer in int8_layers(network):
        row = table.weights.get(layer.name)
        if row is not None and layer.name in table.activations and may_run_winograd(layer):
            yield from _layer_findings(
                network, layer, row, nonnegative=layer.bottoms[0] in nonnegative
            )


def weight_rows(network: Network, layer: Layer) -> NDArray[np.float32]:
    """Give the weights of a layer as one row for each of its scales."""
    weights = np.asarray(network.weights[layer.name]["weight"], np.float32)
    return weights.reshape(scale_count(layer), -1)


def used_levels(rows: NDArray[np.float32], scales: tuple[float, ...]) -> NDArray[np.int64]:
    """Say which integer the largest weight of each row becomes."""
    return _largest(_integers(rows, scales))


def _integers(rows: NDArray[np.float32], scales: tuple[float, ...]) -> NDArray[np.int8]:
    return to_int8(rows, np.array(scales, np.float32)).reshape(rows.shape)


def _largest(integers: NDArray[np.int8]) -> NDArray[np.int64]:
    # They lie within -127..127, so no absolute value overflows.
    largest: NDArray[np.int8] = np.abs(integers).max(axis=1)
    return largest.astype(np.int64)


def _layer_findings(
    network: Network, layer: Layer, row: Row, *, nonnegative: bool
) -> Iterator[Finding]:
    scales, rows = row.scales, weight_rows(network, layer)
    if scales is None or len(scales) != len(rows):
        return
    integers = _integers(rows, scales)
    levels = _largest(integers)
    beyond = largest_sums(integers, nonnegative=nonnegative) > MOST_EXACT
    allowed = bounded_levels(rows, nonnegative=nonnegative)
    if beyond.any():
        wide = beyond & (levels > FEWEST_LEVELS)
        number = int((wide if wide.any() else beyond).sum())
        message = (
            f"{number} of {len(rows)} output channels can overflow in Winograd F43 "
            f"(from {int(levels[beyond].min())} levels on)"
        )
        if wide.any():
            fix = f"at most {int(allowed[wide].min())} levels are safe: calibrate again"
            yield Finding("error", row.line, layer.name, message, fix)
        else:
            fix = "compare it on your crops with Winograd switched off, or leave it in fp32"
            yield Finding("warning", row.line, layer.name, message, fix)
    elif levels.max() <= FEWEST_LEVELS and np.median(allowed) > _WORTHWHILE * FEWEST_LEVELS:
        message = f"has 6-bit weights where {int(np.median(allowed))} levels are safe"
        yield Finding("hint", row.line, layer.name, message, "calibrate again with quantkit")
