"""Which layers stay in fp32 when a share of the multiply-accumulates may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantkit.calibration.table import CalibrationTable
from quantkit.model.macs import macs, total_macs
from quantkit.model.shapes import blob_shapes
from quantkit.storage import content_key
from quantkit.tuning.output_error import decibels
from quantkit.tuning.suffix import load_alone
from quantkit.tuning.thresholds_setting import Setting

STAGE = "layers in fp32"
_SHARE = 0.25
"""Picks of one sweep together may remove this share of the error, as their gains are not sums."""


@dataclass(frozen=True)
class Fp32Pick:
    """A layer that stays in fp32.

    Attributes:
        name: The layer.
        macs_share: Of the network's multiply-accumulates.
        gain: Share of the output error that it removed, as measured before it was picked.
    """

    name: str
    macs_share: float
    gain: float


@dataclass(frozen=True)
class Fp32Choice:
    """A table with layers taken out, and why.

    Attributes:
        table: The table without them.
        picks: The layers, in the order of choice.
        before_db: SQNR of the outputs on the crops with all layers in int8.
        after_db: And without the picks.
    """

    table: CalibrationTable
    picks: tuple[Fp32Pick, ...]
    before_db: float
    after_db: float


def fp32_layers(setting: Setting, budget: float = 0.02) -> Fp32Choice:
    """Take layers out of a table, the most error for a multiply-accumulate first.

    All gains are measured again after each few picks. Give a table whose thresholds were not yet
    moved together (`ThresholdSearch.alone`), and move those of the result afterwards.

    Args:
        setting: The network, the table and the crops.
        budget: Share of the network's multiply-accumulates that may be in fp32.

    Raises:
        InputError: A network cannot be run, or the shapes of its blobs cannot be computed.
    """
    shares = _macs_shares(setting)
    table, error = setting.table, _error(setting, setting.table)
    picks: list[Fp32Pick] = []
    before = error
    while True:
        left = budget - sum(pick.macs_share for pick in picks)
        gains = _gains(setting, table, [x for x in table.layers if shares[x] <= left], error)
        chosen = _few(gains, shares, left, error)
        smaller, after = _taken(setting, table, chosen)
        while len(chosen) > 1 and after >= error:
            chosen = chosen[: len(chosen) // 2]
            smaller, after = _taken(setting, table, chosen)
        if after >= error:
            return Fp32Choice(table, tuple(picks), decibels(before), decibels(error))
        table, error = smaller, after
        picks += chosen


def _taken(
    setting: Setting, table: CalibrationTable, picks: Sequence[Fp32Pick]
) -> tuple[CalibrationTable, float]:
    smaller = table.without([pick.name for pick in picks])
    return smaller, _error(setting, smaller)


def _gains(
    setting: Setting, table: CalibrationTable, names: Sequence[str], error: float
) -> dict[str, float]:
    """Measure how much of the error goes away with each layer alone back in fp32."""
    gains: dict[str, float] = {}
    state = content_key(table.text())
    with setting.walk(setting.quantized(table)) as walk:
        for number, name in enumerate(names, start=1):
            key = content_key([setting.key, STAGE, name, state])
            kept = setting.recall(key)
            if kept is None:
                swaps = {name: load_alone(setting.network, name)}
                outputs = walk.outputs(name, walk.before(name), swaps)
                kept = {"error": sum(setting.error.all(outputs))}
                setting.keep(key, kept)
            gains[name] = error - kept["error"]
            setting.progress(STAGE, number, len(names))
    return gains


def _few(
    gains: Mapping[str, float], shares: Mapping[str, float], left: float, error: float
) -> list[Fp32Pick]:
    """Pick the best for their cost, as long as the sum of their gains can be believed."""
    picks: list[Fp32Pick] = []
    for name in sorted(gains, key=lambda x: gains[x] / shares[x], reverse=True):
        removed = sum(pick.gain for pick in picks)
        if gains[name] <= 0 or removed >= _SHARE:
            break
        if shares[name] <= left:
            picks.append(Fp32Pick(name, shares[name], gains[name] / error))
            left -= shares[name]
    return picks


def _error(setting: Setting, table: CalibrationTable) -> float:
    return sum(setting.error.all(setting.run(setting.quantized(table))))


def _macs_shares(setting: Setting) -> dict[str, float]:
    layers = setting.network.param.layers
    shapes = blob_shapes(setting.network.param, {setting.input: setting.crops[0].shape})
    total = total_macs(layers, shapes)
    return {layer.name: macs(layer, shapes) / total for layer in layers}
