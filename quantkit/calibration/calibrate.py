"""From statistics and a method to a table, with everything that was left out named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.methods import Method, method_named
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.table_lines import activation_problem, name_problem, printed
from quantkit.calibration.weight_scales import LevelRule, WeightScales, weight_scales
from quantkit.model.eligibility import INT8_TYPES, fp32_only, hazards, int8_layers
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.param import Layer

_SEVEN_BITS = 63


ASKED: Final = "asked for"
"""Why a layer stays in fp32 that was not to be calibrated."""


@dataclass(frozen=True)
class Calibration:
    """A table and what a person should know about it.

    Attributes:
        table: The scales, rounded to the six decimals that the file keeps.
        thresholds: Layer name to the absolute activation value that becomes 127.
        left_out: Layer name to the reason why it stays in fp32.
        notes: Layer name to what was handled in it: channels without weights.
    """

    table: CalibrationTable
    thresholds: Mapping[str, float]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]

    def around(self, kept_fp32: Iterable[str]) -> Self:
        """Say of layers without statistics that they were asked to stay in fp32."""
        return replace(self, left_out={**self.left_out, **dict.fromkeys(kept_fp32, ASKED)})


def calibrate(
    network: Network,
    statistics: ActivationStatistics,
    method: str = "kl",
    *,
    keep_hazards: bool = False,
    levels: LevelRule = "bounded",
    thresholds: Mapping[str, float] | None = None,
) -> Calibration:
    """Choose the scales of every layer that can run in int8.

    A layer stays in fp32, named in `left_out`, when its input was zero on all crops, when the
    table cannot hold its name or a scale, when it has no statistics, when ncnn's runtime gets it
    wrong in int8, or when its type is never int8 here although it holds a matrix of weights. An
    output channel without weights gets the scale 1 and a note; ncnn2table writes `inf` in both
    cases.

    Args:
        network: The fp32 network.
        statistics: Of the layers' input blobs.
        method: A key of `METHODS`.
        keep_hazards: Also give scales to the layers that the runtime gets wrong, as ncnn2table.
        levels: How many levels 3x3 weights get; `ncnn2table` is its 6-bit rule.
        thresholds: By layer, in place of the method's; layers that are not in it keep that.

    Raises:
        InputError: There is no such method or layer, or a weight is NaN or infinite.
    """
    for name in thresholds or ():
        network.param.layer(name)
    thresholds = {**_thresholds(statistics, method_named(method)), **(thresholds or {})}
    left_out: dict[str, str] = {}
    notes: dict[str, str] = {}
    weights: dict[str, tuple[float, ...]] = {}
    activations: dict[str, float] = {}
    dangers = {} if keep_hazards else hazards(network, _shapes(network, statistics))
    nonnegative = nonnegative_blobs(network.param)
    for layer in int8_layers(network):
        found = weight_scales(
            layer,
            network.weights[layer.name]["weight"].astype(np.float32),
            rule=levels,
            nonnegative=layer.bottoms[0] in nonnegative,
        )
        scale = _activation_scale(thresholds.get(layer.name, 0.0))
        reason = dangers.get(layer.name) or _problem(
            layer, found, scale, statistics.get(layer.name)
        )
        if reason is not None:
            left_out[layer.name] = reason
            continue
        if remarks := [*_dead_note(found), *_level_notes(found, levels)]:
            notes[layer.name] = "; ".join(remarks)
        weights[layer.name] = tuple(map(printed, found.scales))
        activations[layer.name] = printed(scale)
    left_out |= fp32_only(network)
    table = CalibrationTable(weights, activations)
    kept = {name: thresholds[name] for name in activations}
    return Calibration(table, kept, left_out, notes)


def _thresholds(statistics: ActivationStatistics, method: Method) -> dict[str, float]:
    # Layers behind a Split share their blob's statistics: one search serves them all.
    chosen = {id(one): method(one) for one in statistics.values() if one.absmax > 0}
    return {name: chosen[id(one)] for name, one in statistics.items() if one.absmax > 0}


def _shapes(network: Network, statistics: ActivationStatistics) -> dict[str, tuple[int, ...]]:
    return {
        layer.bottoms[0]: statistics[layer.name].shape if layer.name in statistics else ()
        for layer in network.param.layers
        if layer.type in INT8_TYPES
    }


def _activation_scale(threshold: float) -> float:
    with np.errstate(divide="ignore", over="ignore"):
        return float(np.float32(127) / np.float32(threshold))


def _problem(
    layer: Layer, weights: WeightScales, scale: float, statistics: BlobStatistics | None
) -> str | None:
    if statistics is None:
        return "no statistics were collected of its input"
    if statistics.absmax == 0:
        return "its input is zero on every calibration crop, so its range is unknown"
    if (problem := activation_problem(scale)) is not None:
        return f"its activation: {problem}"
    problems = (activation_problem(one) for one in weights.scales)
    return name_problem(layer.name) or next(filter(None, problems), None)


def _dead_note(found: WeightScales) -> list[str]:
    if not found.dead:
        return []
    dead = f"{len(found.dead)} of {len(found.scales)} output channels have no weights"
    return [f"{dead}: {_listed(found.dead)}"]


def _level_notes(found: WeightScales, rule: LevelRule) -> list[str]:
    fewer = [level for level in found.levels if level < _SEVEN_BITS]
    if rule != "bounded" or not fewer:
        return []
    number = f"{len(fewer)} of {len(found.levels)} output channels"
    notes = [f"{number} have {min(fewer)} to {max(fewer)} levels, as more could overflow in F43"]
    if found.unproven:
        notes.append(f"with 31 levels these could still overflow: {_listed(found.unproven)}")
    return notes


def _listed(channels: Sequence[int]) -> str:
    return ", ".join(map(str, channels[:8])) + (", ..." if len(channels) > 8 else "")
