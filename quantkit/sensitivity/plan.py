"""How much a ranking measures, and what that costs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from quantkit.errors import InputError
from quantkit.sensitivity.costs import Costs
from quantkit.sensitivity.trials import RUNS

_ALONE, _WITHOUT = 3, 1
"""Runs of a crop behind each layer: int8, weights, input; and all but this layer."""
_AROUND: Final = 1.25  # The layer itself, its forms and the blobs before it, beside the runs.
_AP_S: Final = 0.25  # COCO's evaluation and the resamples of one layer.
_LEAST_AP: Final = (16, 4)  # crops and layers
_SAFE: Final = 0.9
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Effort:
    """How much is asked for.

    Attributes:
        crops: Crops that every layer is judged by.
        ap_crops: Crops for the OKS and AP of the worst layers; 0 for none.
        ap_layers: How many of the worst layers that is, and how many get advice.
        budget_s: Seconds that all of it may take; crops and layers are cut down to fit.
    """

    crops: int = 16
    ap_crops: int = 64
    ap_layers: int = 16
    budget_s: float | None = None


def budget_seconds(text: str) -> float | None:
    """Read a time, or none for as long as it takes.

    Raises:
        InputError: It is not a number above zero with the unit s, m or h, nor the word none.

    Example:
        >>> budget_seconds("90s"), budget_seconds("1.5m"), budget_seconds("none")
        (90.0, 90.0, None)
    """
    if text.strip() == "none":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip(), re.ASCII)
    if found is None or float(found[1]) == 0:
        message = f"invalid --budget {text!r}: expected 30s, 5m or 1h, or none"
        raise InputError(message)
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Estimate:
    """What an effort comes to.

    Attributes:
        runs: Runs from a layer on to the outputs.
        layers_s: Seconds for the figures of every layer.
        worst_s: Seconds for the AP and the remedies of the worst.
    """

    runs: int
    layers_s: float
    worst_s: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.layers_s + self.worst_s


def estimate(effort: Effort, costs: Costs, workers: int) -> Estimate:
    """Say how many runs an effort takes and how long they will.

    Args:
        effort: How much is measured.
        costs: What a run behind each layer takes.
        workers: Child processes.
    """
    fp32, int8 = sum(costs.fp32.values()), sum(costs.int8.values())
    layers = len(costs.fp32)
    worst = min(effort.ap_layers, layers)
    crops, ap_crops = effort.crops, effort.ap_crops if worst else 0
    share = worst / layers if layers else 0.0
    each = crops * (_ALONE * fp32 + _WITHOUT * int8) * _AROUND
    ap = ap_crops * share * (fp32 + int8) + 2 * worst * _AP_S * (ap_crops > 0)
    remedies = crops * RUNS * share * int8
    # Each stage starts its children, and each of them walks through all crops.
    walks = 2 * max([0.0, *costs.fp32.values(), *costs.int8.values()])
    starts = costs.start + walks * crops
    ap_starts = 2 * (costs.start + walks * ap_crops) * (ap_crops > 0 and worst > 0)
    return Estimate(
        runs=layers * crops * (_ALONE + _WITHOUT) + worst * (2 * ap_crops + RUNS * crops),
        layers_s=each / workers + 2 * starts,
        worst_s=(ap + remedies) / workers + ap_starts + starts * (worst > 0),
    )


def fitted(effort: Effort, costs: Costs, workers: int, seconds: float) -> Effort:
    """Cut an effort down to a time: first the AP, then the crops that every layer is judged by.

    Returns:
        The largest that fits, or the least there is: one crop and no AP.
    """
    for smaller in _smaller(effort):
        if estimate(smaller, costs, workers).seconds <= _SAFE * seconds:
            return smaller
    return replace(effort, crops=1, ap_crops=0, ap_layers=0)


def fitted_worst(effort: Effort, costs: Costs, workers: int, seconds: float) -> Effort:
    """Cut what is measured of the worst layers down to the time that is left."""
    for smaller in _smaller(effort):
        fits = estimate(smaller, costs, workers).worst_s <= _SAFE * seconds
        if fits and smaller.crops == effort.crops:
            return smaller
    return replace(effort, ap_crops=0, ap_layers=0)


def _smaller(effort: Effort) -> Iterator[Effort]:
    yield effort
    least_crops, least_layers = _LEAST_AP
    while effort.ap_crops > least_crops:
        effort = replace(effort, ap_crops=max(least_crops, effort.ap_crops // 2))
        yield effort
    while effort.ap_layers > least_layers:
        effort = replace(effort, ap_layers=max(least_layers, effort.ap_layers // 2))
        yield effort
    bare = replace(effort, ap_crops=0, ap_layers=0)
    if effort.crops <= 2:
        yield bare
    while effort.crops > 2:
        effort = replace(effort, crops=max(2, effort.crops // 2))
        yield from (effort, replace(effort, ap_crops=0, ap_layers=0))
