"""The first pass: each layer alone in int8, the rest of the network in fp32."""

from collections.abc import Mapping, Sequence

import numpy as np

from quantkit.storage import content_key
from quantkit.tuning.suffix import Walk
from quantkit.tuning.thresholds_setting import Setting

STAGE = "thresholds of each layer alone"
_FIRST = 2  # crops that every candidate is tried on
_KEPT, _WORSE = 4, 1.5  # how many go on to the other crops, unless they are so much worse


def errors_alone(
    setting: Setting, candidates: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    """Measure the error of the outputs when one layer is in int8, for each of its thresholds.

    Candidates that are clearly worse on the first crops are not tried on the others; their error
    is projected.

    Args:
        setting: The network, the crops and the layers.
        candidates: Thresholds to try, by layer.

    Returns:
        The errors by layer, one for each of its candidates.

    Raises:
        InputError: A layer cannot be run.
    """
    found: dict[str, list[float]] = {}
    names = setting.table.layers
    with setting.walk(setting.network) as walk:
        for number, name in enumerate(names, start=1):
            key = content_key([setting.key, STAGE, name, list(candidates[name])])
            kept = setting.recall(key)
            found[name] = kept["errors"] if kept else _race(setting, walk, name, candidates[name])
            if not kept:
                setting.keep(key, {"errors": found[name]})
            setting.progress(STAGE, number, len(names))
    return found


def least(
    setting: Setting,
    candidates: Mapping[str, Sequence[float]],
    errors: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """Choose the threshold of least error for each layer, one for those that must share it."""
    chosen: dict[str, float] = {}
    for name, group in setting.groups.items():
        total = np.sum([errors[member] for member in group], axis=0)
        chosen[name] = candidates[name][int(np.argmin(total))]
    return chosen


def _race(setting: Setting, walk: Walk, name: str, thresholds: Sequence[float]) -> list[float]:
    alive = walk.before(name)
    nets = [setting.load(name, threshold) for threshold in thresholds]

    def measure(number: int, first: int, last: int) -> float:
        outputs = walk.outputs(name, alive[first:last], {name: nets[number]})
        return sum(setting.error.of(first + i, one) for i, one in enumerate(outputs))

    crops = len(alive)
    early = [measure(number, 0, _FIRST) for number in range(len(nets))]
    best = sorted(range(len(nets)), key=early.__getitem__)[:_KEPT]
    running = {number for number in best if early[number] <= _WORSE * early[best[0]]}
    return [
        error + measure(number, _FIRST, crops)
        if number in running
        else error * crops / min(_FIRST, crops)
        for number, error in enumerate(early)
    ]
