"""What can be wrong between a table and the network that it is for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from quantkit.calibration.weight_scales import scale_count
from quantkit.model.eligibility import INT8_TERM, hazards, int8_layers, needs_requantize
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.clipped_weights import clipped_weights
from quantkit.quantization.finding import Finding
from quantkit.quantization.requantize import agreeing_consumers, fusible
from quantkit.quantization.table_lines import Entries

_WEIGHTS_ONLY: Final = ("Embed", "MultiHeadAttention", "RNN", "LSTM", "GRU")
_LEAVE: Final = "remove both lines of the layer to leave it in fp32"


def layer_findings(
    network: Network, table: Entries, shapes: Mapping[str, Sequence[int]]
) -> Iterator[Finding]:
    """Compare a table with its network.

    Args:
        network: The fp32 network.
        table: The table.
        shapes: Shape by blob name; a blob that is absent is taken for an image.

    Yields:
        Findings, in no order.
    """
    eligible = {layer.name: layer for layer in int8_layers(network)}
    yield from _orphans(network, table, eligible)
    layers = list(eligible.values())
    for layer in layers:
        yield from _pair_findings(layer, table, layers)
        yield from _count_findings(layer, table)
        yield from _cut_findings(network, layer, table)
    scales = _int8_scales(table, eligible)
    yield from _hazard_findings(network, table, scales, shapes)
    yield from _sibling_findings(network, table, scales)


def _orphans(network: Network, table: Entries, eligible: Mapping[str, Layer]) -> Iterator[Finding]:
    for kind, found in (("weight", table.weights), ("activation", table.activations)):
        for name, line in found.items():
            if name in eligible:
                continue
            layer = network.param.by_name.get(name)
            if layer is None:
                message = f"its {kind} line is of a layer that is not in the network"
                fix = "remove the line, or give the table that belongs to this network"
                yield Finding("error", line.number, name, message, fix)
            elif layer.type in _WEIGHTS_ONLY:
                message = f"a {layer.type} stays as it is with quantkit quantize"
                yield Finding("hint", line.number, name, message, "nothing to do")
            else:
                message = f"a {layer.type} has no weights to make int8"
                yield Finding("error", line.number, name, message, "remove the line")


def _pair_findings(layer: Layer, table: Entries, all_layers: list[Layer]) -> Iterator[Finding]:
    weight, activation = table.weights.get(layer.name), table.activations.get(layer.name)
    if weight and activation:
        if layer.int_param(INT8_TERM, 0):
            message = "is int8 in the network already"
            yield Finding("error", activation.number, layer.name, message, "give the fp32 network")
        return
    if activation:
        later = all_layers[all_layers.index(layer) + 1 :]
        lost = sum(x.type == layer.type and x.name in table.activations for x in later)
        message = (
            f"has no weight line{_commented(layer, 'weight', table)}: ncnn2int8 ends there, and "
            f"{lost} later {layer.type} layers stay in fp32 without a word"
        )
        fix = "put the weight line back, or remove this line too"
        yield Finding("error", activation.number, layer.name, message, fix)
    elif weight:
        commented = _commented(layer, "activation", table)
        message = f"stays in fp32, as it has no activation line{commented}"
        fix = "remove the weight line too, or put the activation line back"
        yield Finding("warning", weight.number, layer.name, message, fix)
    else:
        number = table.commented.get((layer.name, "weight"))
        fix = "nothing to do, or calibrate again to make it int8"
        yield Finding("hint", number, layer.name, "stays in fp32, as it has no lines", fix)


def _commented(layer: Layer, kind: str, table: Entries) -> str:
    number = table.commented.get((layer.name, kind))
    return "" if number is None else f" (it is commented out in line {number})"


def _count_findings(layer: Layer, table: Entries) -> Iterator[Finding]:
    line, wanted = table.weights.get(layer.name), scale_count(layer)
    if line is not None and len(line.values) not in (0, wanted):
        message = f"has {len(line.values)} weight scales instead of {wanted}"
        fix = f"give the table that belongs to this network, or {_LEAVE}"
        yield Finding("error", line.number, layer.name, message, fix)


def _cut_findings(network: Network, layer: Layer, table: Entries) -> Iterator[Finding]:
    line = table.weights.get(layer.name)
    if line is None or line.scales is None or len(line.scales) != scale_count(layer):
        return
    cut = clipped_weights(network, layer, line.scales)
    if cut is not None:
        fix = "give the network that the table belongs to with --param and --bin"
        yield Finding("error", line.number, layer.name, cut, fix)


def _int8_scales(table: Entries, eligible: Mapping[str, Layer]) -> dict[str, float]:
    found = {
        name: line.scales
        for name, line in table.activations.items()
        if name in eligible and name in table.weights
    }
    return {name: scales[0] for name, scales in found.items() if scales}


def _hazard_findings(
    network: Network,
    table: Entries,
    scales: Mapping[str, float],
    shapes: Mapping[str, Sequence[int]],
) -> Iterator[Finding]:
    fused = agreeing_consumers(Graph(network.param), scales)
    bottoms = {layer.bottoms[0]: () for layer in network.param.layers if layer.bottoms}
    for name, reason in hazards(network, {**bottoms, **shapes}).items():
        requantized = needs_requantize(network.param.layer(name)) and name in fused
        if name in scales and not requantized:
            yield Finding("error", table.activations[name].number, name, reason, _LEAVE)


def _sibling_findings(
    network: Network, table: Entries, scales: Mapping[str, float]
) -> Iterator[Finding]:
    for name, readers in fusible(Graph(network.param), scales).items():
        first = scales[readers[0]]
        for reader in readers[1:]:
            if scales[reader] != first:
                ratio = scales[reader] / first
                message = (
                    f"reads the same blob as '{readers[0]}' with a scale {ratio:.3g} times its own:"
                    f" ncnn2int8 hands it the output of '{name}' in the scale of the other"
                )
                fix = "give both one scale, or use quantkit quantize, which keeps a float between"
                line = table.activations[reader].number
                yield Finding("warning", line, reader, message, fix)
