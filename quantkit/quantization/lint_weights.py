"""The weight scales of a table against those that the weights give: 127 / largest weight."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.finding import Finding, Severity
from quantkit.calibration.line_findings import Repair
from quantkit.calibration.table_lines import FLOAT32_MAX, Row
from quantkit.calibration.weight_scales import DEAD_SCALE, ncnn2table_levels, scale_count
from quantkit.calibration.winograd_bound import FEWEST_LEVELS, MOST_LEVELS, may_run_winograd
from quantkit.model.eligibility import INT8_TERM, int8_layers
from quantkit.model.network import Network
from quantkit.model.param import Layer

_MOST: Final = 2 * MOST_LEVELS + 0.5
"""Levels of the largest weight: ncnn2table's `eq` goes up to twice of what fits."""
_FEW: Final = {True: 15, False: 33}
"""Likewise, for layers that may run as Winograd and for others: `eq` goes down to half of 31 or of
127, `aciq` to 18 and to 35."""
_FEWEST: Final = 4
_SAME: Final = 0.02
_LISTED: Final = 4

Mask = NDArray[np.bool_]


def weight_findings(
    network: Network, layer: Layer, row: Row, *, small: bool = True
) -> Iterator[Finding]:
    """Compare each weight scale with the largest weight of its channel.

    Args:
        network: The fp32 network.
        layer: A layer of it that can be int8.
        row: Its weight scales, as many as it needs.
        small: Whether to look for those that are too small.

    Yields:
        A finding for each of: not finite, zero, too small, too large.
    """
    if row.scales is None or layer.int_param(INT8_TERM, 0):
        return
    held = _Held(network, layer, row.line, np.array(row.scales, np.float64))
    if held.bad.any():
        yield held.not_finite()
        return
    yield from held.zero()
    if small:
        yield from held.small()
    yield from held.large()


def weight_repair(network: Network) -> Repair:
    """Make what says which scales the weights of a network want."""
    eligible = {layer.name: layer for layer in int8_layers(network)}

    def repair(name: str, indices: Sequence[int]) -> str | None:
        layer = eligible.get(name)
        if layer is None or layer.int_param(INT8_TERM, 0) or max(indices) >= scale_count(layer):
            return None
        return _put(layer, _wanted(network, layer), indices)

    return repair


@dataclass(frozen=True)
class _Held:
    """The scales of one layer beside its weights."""

    network: Network
    layer: Layer
    line: int | None
    scales: NDArray[np.float64]

    @cached_property
    def wanted(self) -> NDArray[np.float64]:
        return _wanted(self.network, self.layer)

    @cached_property
    def dead(self) -> Mask:
        return np.isnan(self.wanted)

    @property
    def bad(self) -> Mask:
        return ~np.isfinite(self.scales)

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """What the largest weight of each channel becomes, not rounded; NaN where it has none."""
        full = ncnn2table_levels(self.layer)
        levels: NDArray[np.float64] = full * self.scales / self.wanted
        return levels

    def not_finite(self) -> Finding:
        first = int(np.flatnonzero(self.bad)[0])
        message = f"weight scale {first} is {self.scales[first]}"
        return self._finding("error", self.bad, message)

    def zero(self) -> Iterator[Finding]:
        zero = self.scales == 0
        if (lost := zero & ~self.dead).any():
            message = f"{_zero(lost)} where there are weights, which erases the channel"
            yield self._finding("error", lost, message)
        if (idle := zero & self.dead).any():
            message = f"{_zero(idle)}, as the channel has no weights"
            yield Finding("hint", self.line, self.layer.name, message, "nothing to do")

    def small(self) -> Iterator[Finding]:
        small = (self.scales != 0) & (self.levels < _FEW[may_run_winograd(self.layer)])
        gone = small & (self.levels < 0.5)
        if gone.any():
            whole = gone.sum() == (~self.dead).sum()
            what = "of the layer" if whole else "of their channels"
            message = f"{_far(gone, 'small')}: all weights {what} become zero"
            yield self._finding("error", gone, message)
        if (few := small & ~gone).any():
            least = self.levels[few].min()
            severity: Severity = "error" if least < _FEWEST else "warning"
            message = f"{_far(few, 'small')}: the largest weight becomes {least:.3g} of"
            yield self._finding(severity, few, f"{message} {MOST_LEVELS} levels")

    def large(self) -> Iterator[Finding]:
        large = self.levels > _MOST
        if large.any():
            worst = self.levels[large].max() / MOST_LEVELS
            message = f"{_far(large, 'large')}, which cuts weights to 1/{worst:.3g}: the table was"
            yield self._finding("error", large, f"{message} made for other weights")

    def _finding(self, severity: Severity, chosen: Mask, message: str) -> Finding:
        looks = "" if self.bad.any() else self._looks()
        fix = f"{_put(self.layer, self.wanted, np.flatnonzero(chosen).tolist())}, or give the"
        fix += " network that the table belongs to"
        return Finding(severity, self.line, self.layer.name, message + looks, fix)

    def _looks(self) -> str:
        scales, wanted = self.scales[~self.dead], self.wanted[~self.dead]
        largest = ncnn2table_levels(self.layer) / wanted
        if _same(scales * largest):
            return " (they look like 1 / largest weight: the factor 127 is missing)"
        if any(_same(scales * levels / largest) for levels in (MOST_LEVELS, FEWEST_LEVELS)):
            return " (they look like the step size, which is 1 / scale)"
        if _same(scales / largest):
            return " (they look like the largest weights themselves)"
        ratios = scales / wanted
        if len(ratios) > 1 and ratios.min() > 0 and ratios.max() < (1 + _SAME) * ratios.min():
            return f" (all are {float(np.median(ratios)):.3g} times what the weights give)"
        return ""


def _wanted(network: Network, layer: Layer) -> NDArray[np.float64]:
    """Divide ncnn2table's levels by the largest weight of each channel; NaN where it has none."""
    weights = np.asarray(network.weights[layer.name]["weight"], np.float32)
    largest = np.abs(weights.reshape(scale_count(layer), -1)).max(axis=1, initial=0)
    with np.errstate(divide="ignore"):
        wanted = ncnn2table_levels(layer) / largest.astype(np.float64)
    return np.where(wanted <= FLOAT32_MAX, wanted, np.nan)


def _put(layer: Layer, wanted: NDArray[np.float64], indices: Sequence[int]) -> str:
    """Say what belongs at some places: the channels without weights first, then the others."""
    dead = [index for index in indices if np.isnan(wanted[index])]
    alive = [index for index in indices if index not in dead]
    parts = []
    if dead:
        parts.append(f"{DEAD_SCALE:.6f} at {_listed(dead)}, where all weights are zero")
    for index in alive[:_LISTED]:
        parts.append(f"{wanted[index]:.6f} at {index}")
    if alive:
        more = ", ..." if len(alive) > _LISTED else ""
        parts[-1] += f"{more}, which is {ncnn2table_levels(layer)} / the largest weight"
    return "put " + ", ".join(parts)


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices[:_LISTED])) + (", ..." if len(indices) > _LISTED else "")


def _zero(chosen: Mask) -> str:
    more = int(chosen.sum()) - 1
    return f"scale {int(np.flatnonzero(chosen)[0])} is zero" + (
        f" (and {more} more)" if more else ""
    )


def _far(chosen: Mask, how: str) -> str:
    return f"{int(chosen.sum())} of {len(chosen)} weight scales are far too {how}"


def _same(ratios: NDArray[np.float64]) -> bool:
    return bool(len(ratios)) and bool((np.abs(ratios - 1) < _SAME).all())
