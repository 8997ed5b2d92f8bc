"""Weights rounded by what their layer gives, written as the fp32 weights that round to it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quantkit.calibration.table import CalibrationTable
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.tuning.rounding_blocks import MOST_COLUMNS, WeightBlocks
from quantkit.tuning.rounding_layer import LayerRounding, RoundingOptions, rounded_layer
from quantkit.tuning.rounding_moments import Sampling, input_moments

_MEMORY = 192 * 2**20


@dataclass(frozen=True)
class Rounded:
    """A network whose weights are integers over the table's scales.

    Attributes:
        network: An ordinary fp32 network; with the table it was made for, `quantize` gives the
            chosen integers. A table computed from its weights anew has other scales.
        layers: What was done to each layer.
    """

    network: Network
    layers: Mapping[str, LayerRounding]

    @property
    def gain_db(self) -> float:
        """Mean over the layers of how much less their outputs err, in dB."""
        gains = [
            10 * math.log10(one.nearest / one.chosen)
            for one in self.layers.values()
            if one.nearest > 0 and one.chosen > 0
        ]
        return sum(gains) / len(gains) if gains else 0.0


def round_weights(
    network: Network,
    table: CalibrationTable,
    sampling: Sampling,
    options: RoundingOptions | None = None,
) -> Rounded:
    """Round the weights of all layers of a table by the error of each layer's output.

    Memory holds the Hessians of some layers at a time; the crops are run again for the others.
    The result does not depend on the number of threads.

    Args:
        network: The fp32 network.
        table: Its scales.
        sampling: The crops, and how they are sampled.
        options: What is done; all of it if not given.

    Raises:
        InputError: There are no crops, or the network cannot be run on them.
    """
    positive = nonnegative_blobs(network.param)
    batches = list(_batches(_blocks(network, table)))
    weights = dict(network.weights)
    report: dict[str, LayerRounding] = {}
    for number, batch in enumerate(batches, start=1):
        stage = f"rounding, part {number} of {len(batches)}"
        moments = input_moments(network, table, batch, sampling, stage)
        for name, blocks in batch.items():
            layer = network.param.layer(name)
            weights[name], report[name] = rounded_layer(
                layer,
                network.weights[name],
                table.weight_scales[name],
                blocks,
                moments.pop(name),
                options or RoundingOptions(),
                nonnegative=layer.bottoms[0] in positive,
            )
    return Rounded(network.replaced({}, weights), report)


def _blocks(network: Network, table: CalibrationTable) -> dict[str, WeightBlocks]:
    return {name: WeightBlocks.of(network.param.layer(name), MOST_COLUMNS) for name in table.layers}


def _batches(blocks: Mapping[str, WeightBlocks]) -> Iterator[dict[str, WeightBlocks]]:
    batch: dict[str, WeightBlocks] = {}
    for name, one in blocks.items():
        held = sum(other.hessian_bytes for other in batch.values())
        if batch and held + one.hessian_bytes > _MEMORY:
            yield batch
            batch = {}
        batch[name] = one
    if batch:
        yield batch
