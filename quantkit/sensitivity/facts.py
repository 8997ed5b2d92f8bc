"""What a layer, its weights and its input look like: what the advice is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.winograd_bound import may_run_winograd
from quantkit.model.eligibility import is_depthwise
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.lint_levels import used_levels, weight_rows
from quantkit.tuning.suffix import Array

_FEW_LEVELS = 8
_GATES = ("Sigmoid", "HardSigmoid", "Swish", "HardSwish")
_GATE_ACTIVATIONS = (4, 6)


@dataclass(frozen=True)
class LayerFacts:
    """A layer and its fp32 input over the crops.

    Attributes:
        threshold: The absolute value of its input that becomes 127.
        absmax: Largest absolute value of its input.
        clipped: Share of the values beyond the threshold.
        clipping: Share of the squared rounding error that those values cause.
        channel_absmax: Largest absolute value by input channel.
        starved: Input channels, of those that are not dead, whose largest value gets fewer than 8
            of the 127 levels.
        wide: Input channels whose largest value gets more than half of the levels.
        dead_inputs: Input channels that are zero on every crop.
        dead_weights: Output channels whose weights are all zero.
        levels: Fewest and most levels of a channel's weights.
        winograd: Whether the levels of its weights are bounded for Winograd's sake.
        depthwise: Whether it is depthwise.
        reads_image: Whether it reads the network's own input.
        makes_output: Whether no other layer of the table comes between it and an output.
        gates: Whether it feeds a sigmoid or the like.
        vector: Whether its input has one axis.
    """

    threshold: float
    absmax: float
    clipped: float
    clipping: float
    channel_absmax: tuple[float, ...]
    starved: int
    wide: int
    dead_inputs: int
    dead_weights: int
    levels: tuple[int, int]
    winograd: bool
    depthwise: bool
    reads_image: bool
    makes_output: bool
    gates: bool
    vector: bool


def layer_facts(
    network: Network,
    graph: Graph,
    table: CalibrationTable,
    layer: Layer,
    inputs: Sequence[Array],
    image: str,
) -> LayerFacts:
    """Look at a layer.

    Args:
        network: The fp32 network.
        graph: Its graph.
        table: The scales.
        layer: One of the table.
        inputs: What it reads in fp32, crop by crop.
        image: The network's input blob.
    """
    scale = table.activation_scales[layer.name]
    channels = np.max([np.abs(one).reshape(len(one), -1).max(axis=1) for one in inputs], axis=0)
    levels = channels * scale
    clipped, clipping = _clipping(inputs, scale)
    rows = weight_rows(network, layer)
    used = used_levels(rows, table.weight_scales[layer.name])
    dead = ~rows.any(axis=1)
    return LayerFacts(
        threshold=127 / scale,
        absmax=float(channels.max()),
        clipped=clipped,
        clipping=clipping,
        channel_absmax=tuple(round(float(one), 6) for one in channels),
        starved=int(((levels < _FEW_LEVELS) & (channels > 0)).sum()),
        wide=int((levels > 127 / 2).sum()),
        dead_inputs=int((channels == 0).sum()),
        dead_weights=int(dead.sum()),
        levels=(int(used[~dead].min(initial=127)), int(used.max(initial=0))),
        winograd=may_run_winograd(layer),
        depthwise=layer.type == "ConvolutionDepthWise" and is_depthwise(layer),
        reads_image=graph.resolve_split(layer.bottoms[0]) == image,
        makes_output=_makes_output(graph, layer, frozenset(table.layers)),
        gates=layer.int_param(9, 0) in _GATE_ACTIVATIONS
        or any(reader.type in _GATES for reader in graph.readers(layer.tops[0])),
        vector=inputs[0].ndim == 1,
    )


def _clipping(inputs: Sequence[Array], scale: float) -> tuple[float, float]:
    beyond = count = 0
    cut = rounding = 0.0
    for values in inputs:
        scaled = np.abs(values) * np.float32(scale)
        over = scaled > 127.5
        beyond, count = beyond + int(over.sum()), count + scaled.size
        cut += float(np.square(scaled[over] - 127).sum(dtype=np.float64))
        rounding += float(np.square(scaled - np.rint(scaled))[~over].sum(dtype=np.float64))
    total = cut + rounding
    return beyond / count, cut / total if total > 0 else 0.0


def _makes_output(graph: Graph, layer: Layer, table: frozenset[str]) -> bool:
    readers = [reader for top in layer.tops for reader in graph.readers(top)]
    return all(
        reader.name not in table and _makes_output(graph, reader, table) for reader in readers
    )
