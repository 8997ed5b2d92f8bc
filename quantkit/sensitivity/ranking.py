"""From what a cascade measured to the layers of a report, worst first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from quantkit.model.macs import macs, total_macs
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.sensitivity.advice import Case, advise
from quantkit.sensitivity.cascade import Found
from quantkit.sensitivity.figures import Effect, Signal
from quantkit.sensitivity.report import LayerSensitivity, effect_of
from quantkit.sensitivity.spearman import spearman
from quantkit.sensitivity.sweep import Sweep

LayerTimes = Mapping[str, tuple[float | None, float | None]]
"""By layer: milliseconds in fp32 and in int8."""

_NOISE_SHARE: Final = 0.05
_FASTER: Final = 0.97


def ranked(
    found: Found, sweep: Sweep, times: LayerTimes, table: str
) -> tuple[tuple[LayerSensitivity, ...], float | None]:
    """Put the layers of a cascade in order, with shares, times, advice and recommendation.

    Args:
        found: What was measured.
        sweep: Whose network it was.
        times: Of the layers, where they were measured.
        table: Name or path of the table, for the commands that are advised.

    Returns:
        The layers, worst first, and how far the ranking by SQNR agrees with that by OKS drop.
    """
    network = sweep.network()
    shares = _shares(network, sweep)
    layers = [
        _layer(name, network, shares[name], found, times.get(name, (None, None)), table)
        for name in found.layers
    ]
    by_name = {layer.name: layer for layer in layers}
    return tuple(sorted(layers, key=lambda layer: layer.rank_key)), _agreement(found, by_name)


def _layer(
    name: str,
    network: Network,
    shares: tuple[float, float],
    found: Found,
    times: tuple[float | None, float | None],
    table: str,
) -> LayerSensitivity:
    one = found.layers[name]
    layer = LayerSensitivity(
        name=name,
        type=network.param.layer(name).type,
        macs_share=shares[0],
        weights_share=shares[1],
        alone=effect_of(one["alone"]),
        without=_effect(one.get("without")),
        weights=_effect(one.get("weights")),
        activations=_effect(one.get("activations")),
        own=_signal(one.get("own")),
        inherited=_signal(one.get("inherited")),
        in_int8=_signal(one.get("in_int8")),
        ms_fp32=times[0],
        ms_int8=times[1],
    )
    advised = name in found.trials or layer.died is not None
    case = Case(layer, found.facts.get(name), found.trials.get(name), table)
    return replace(
        layer,
        recommended=_recommended(layer, found.all_int8),
        advice=advise(case) if advised else (),
    )


def _effect(value: Mapping[str, Any] | None) -> Effect | None:
    return None if value is None else effect_of(value)


def _signal(value: Mapping[str, Any] | None) -> Signal | None:
    return None if value is None else Signal(**value)


def _recommended(layer: LayerSensitivity, all_int8: Effect) -> Literal["int8", "fp32"]:
    """Take fp32 where int8 kills, is not faster, or makes a good part of the whole error."""
    slower = (
        layer.ms_fp32 is not None
        and layer.ms_int8 is not None
        and layer.ms_int8 > _FASTER * layer.ms_fp32
    )
    gain = layer.gain_db(all_int8)
    removed = 0.0 if gain is None else 1 - 10 ** (-gain / 10)
    return "fp32" if layer.died or slower or removed > _NOISE_SHARE else "int8"


def _agreement(found: Found, layers: Mapping[str, LayerSensitivity]) -> float | None:
    pairs = [
        (-layer.alone.peak_noise_db, layer.alone.oks_drop)
        for name in found.ap_layers
        if (layer := layers[name]).alone.peak_noise_db is not None
        and layer.alone.oks_drop is not None
    ]
    agreement = spearman([one for one, _ in pairs], [other for _, other in pairs])
    return None if agreement is None else round(agreement, 4)


def _shares(network: Network, sweep: Sweep) -> dict[str, tuple[float, float]]:
    """Share of the multiply-accumulates and of the weights, by layer."""
    layers = network.param.layers
    shapes = blob_shapes(network.param, {sweep.files.input: sweep.crops[0].shape})
    work = total_macs(layers, shapes)
    sizes = {
        name: sum(record.stored.size for record in one.records.values())
        for name, one in network.weights.items()
    }
    weights = sum(sizes.values())
    return {
        name: (
            round(macs(network.param.layer(name), shapes) / work, 6),
            round(sizes.get(name, 0) / weights, 6),
        )
        for name in sweep.table.layers
    }
