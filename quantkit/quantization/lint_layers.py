"""What can be wrong between a table and the network that it is for."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from quantkit.calibration.finding import Finding, shortened
from quantkit.calibration.table_lines import Entries, layer_of, name_problem
from quantkit.calibration.weight_scales import scale_count
from quantkit.model.eligibility import INT8_TERM, hazards, int8_layers, needs_requantize
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.lint_weights import weight_findings
from quantkit.quantization.requantize import agreeing_consumers, fusible

_WEIGHTS_ONLY: Final = ("Embed", "MultiHeadAttention", "RNN", "LSTM", "GRU", "Gemm")
_LEAVE: Final = "remove both lines of the layer to leave it in fp32"


def fit_findings(network: Network, table: Entries, *, small: bool = True) -> Iterator[Finding]:
    """Say where a table does not fit its network.

    Args:
        network: The fp32 network.
        table: The table.
        small: Also look for scales that leave the weights no levels, which can be applied.

    Yields:
        Findings, in no order.
    """
    eligible = {layer.name: layer for layer in int8_layers(network)}
    yield from _orphans(network, table, eligible)
    layers = list(eligible.values())
    for layer in layers:
        yield from _pair_findings(layer, table, layers)
        row, wanted = table.weights.get(layer.name), scale_count(layer)
        if row is None or not row.count:
            continue
        if row.count == wanted:
            yield from weight_findings(network, layer, row, small=small)
        else:
            message = f"has {row.count} weight scales instead of {wanted}"
            fix = f"give the table that belongs to this network, or {_LEAVE}"
            yield Finding("error", row.line, layer.name, message, fix)


def runtime_findings(
    network: Network, table: Entries, shapes: Mapping[str, Sequence[int]]
) -> Iterator[Finding]:
    """Say what ncnn computes otherwise than a table that fits its network asks for.

    Args:
        network: The fp32 network.
        table: The table.
        shapes: Shape by blob name; a blob that is absent is taken for an image.

    Yields:
        Findings, in no order.
    """
    scales = _int8_scales(table, {layer.name for layer in int8_layers(network)})
    yield from _hazard_findings(network, table, scales, shapes)
    yield from _sibling_findings(network, table, scales)


def _orphans(network: Network, table: Entries, eligible: Mapping[str, Layer]) -> Iterator[Finding]:
    known = network.param.by_name
    for kind, rows in (("weight", table.weights), ("activation", table.activations)):
        for name, row in rows.items():
            if name not in eligible:
                yield _orphan(known.get(name), kind, name, row.line)
    for key, line in table.others.items():
        name = layer_of(key)
        if key in eligible:
            message = f"{name_problem(key)}"
            yield Finding("error", line, key, message, "then calibrate again")
        elif name not in known:
            yield _orphan(None, "weight", name, line)
        elif known[name].type not in _WEIGHTS_ONLY:
            message = f"'{shortened(key)}' scales weights that a {known[name].type} does not have"
            yield Finding("warning", line, name, message, "remove the line")


def _orphan(layer: Layer | None, kind: str, name: str, line: int | None) -> Finding:
    if layer is None:
        message = f"its {kind} line is of a layer that is not in the network"
        fix = "remove the line, or give the table that belongs to this network"
        return Finding("error", line, name, message, fix)
    if layer.type in _WEIGHTS_ONLY:
        message = f"a {layer.type} stays as it is with quantkit quantize"
        return Finding("hint", line, name, message, "nothing to do")
    message = f"a {layer.type} has no weights to make int8"
    return Finding("error", line, name, message, "remove the line")


def _pair_findings(layer: Layer, table: Entries, all_layers: list[Layer]) -> Iterator[Finding]:
    weight, activation = table.weights.get(layer.name), table.activations.get(layer.name)
    if weight and activation:
        if layer.int_param(INT8_TERM, 0):
            message = "is int8 in the network already"
            yield Finding("error", activation.line, layer.name, message, "give the fp32 network")
        elif activation.scales and not math.isfinite(activation.scales[0]):
            message = f"its activation scale is {activation.scales[0]}"
            yield Finding("error", activation.line, layer.name, message, _LEAVE)
        return
    if activation:
        later = all_layers[all_layers.index(layer) + 1 :]
        lost = sum(x.type == layer.type and x.name in table.activations for x in later)
        message = (
            f"has no weight line{_commented(layer, 'weight', table)}: ncnn2int8 ends there, and "
            f"{lost} later {layer.type} layers stay in fp32 without a word"
        )
        fix = "put the weight line back, or remove this line too"
        yield Finding("error", activation.line, layer.name, message, fix)
    elif weight:
        commented = _commented(layer, "activation", table)
        message = f"stays in fp32, as it has no activation line{commented}"
        fix = "remove the weight line too, or put the activation line back"
        yield Finding("warning", weight.line, layer.name, message, fix)
    else:
        number = table.commented.get((layer.name, "weight"))
        fix = "nothing to do, or calibrate again to make it int8"
        yield Finding("hint", number, layer.name, "stays in fp32, as it has no lines", fix)


def _commented(layer: Layer, kind: str, table: Entries) -> str:
    number = table.commented.get((layer.name, kind))
    return "" if number is None else f" (it is commented out in line {number})"


def _int8_scales(table: Entries, eligible: Collection[str]) -> dict[str, float]:
    found = {
        name: row.scales
        for name, row in table.activations.items()
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
    for name, reason in hazards(network, {**bottoms, **shapes}, scales).items():
        requantized = needs_requantize(network.param.layer(name)) and name in fused
        if name in scales and not requantized:
            yield Finding("error", table.activations[name].line, name, reason, _LEAVE)


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
                line = table.activations[reader].line
                yield Finding("warning", line, reader, message, fix)
