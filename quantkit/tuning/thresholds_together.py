"""The second pass: one threshold moved at a time while all layers are in int8."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from quantkit.storage import content_key
from quantkit.tuning.suffix import Blobs, Walk
from quantkit.tuning.thresholds_setting import Setting, Thresholds, with_thresholds

STAGE = "thresholds of all layers together"
_STEPS = (0.94, 1.06)
"""Factors of a step down and a step up; as long as a step helps, the next is of the same size."""
_MOST = 4  # steps in one direction
_LEAPS = (0.85, 1.2, 0.6, 1.6)
"""Factors that are tried, in this order, where neither step helps."""
_BEYOND = 1.2  # of the largest value: nothing is clipped, but other values fall between levels


def descend(setting: Setting, start: Thresholds, largest: Thresholds) -> dict[str, float]:
    """Walk through the layers once and move each threshold while the outputs' error falls.

    A move must not be worse on the first half of the crops, and better on all of them together.
    The network's own input is not clipped below its largest value: a few crops do not tell which
    images there are.

    Args:
        setting: The network, the crops and the layers.
        start: Threshold by layer, of all layers of the setting's table.
        largest: The absolute maximum of each layer's input; thresholds stay below 1.2 times that.

    Returns:
        The thresholds.

    Raises:
        InputError: A layer cannot be run.
    """
    found = dict(start)
    names = setting.table.layers
    with ExitStack() as stack:
        descent: _Descent | None = None
        for number, name in enumerate(names, start=1):
            group = setting.groups[name]
            key = content_key([setting.key, STAGE, name, found])
            kept = setting.recall(key) if descent is None else None
            if kept is None and name == group[0]:
                if descent is None:
                    table = with_thresholds(setting.table, found)
                    walk = stack.enter_context(setting.walk(setting.quantized(table)))
                    descent = _Descent(setting, walk)
                least = largest[name] if setting.reads_input(name) else 0.0
                allowed = (least, largest[name] * _BEYOND)
                moved = descent.move(group, found[name], allowed)
                setting.keep(key, {"threshold": moved})
            else:
                moved = kept["threshold"] if kept else found[name]
            found |= dict.fromkeys(group, moved)
            setting.progress(STAGE, number, len(names))
    return found


@dataclass
class _Descent:
    """A walk through the int8 network, and the error of each crop as the network stands."""

    setting: Setting
    walk: Walk
    errors: Sequence[float] = ()

    def move(self, group: Sequence[str], threshold: float, allowed: tuple[float, float]) -> float:
        """Find the threshold of the layers of a group and go on with it."""
        alive = self.walk.before(group[0])

        def within(tried: float) -> bool:
            return allowed[0] <= tried <= allowed[1]

        if not self.errors:
            self.errors = self.setting.error.all(self.walk.outputs(group[0], alive))
        for factor in _STEPS:
            best = threshold
            for _ in range(_MOST):
                if not within(best * factor) or not self._helps(group, best * factor, alive):
                    break
                best *= factor
            if best != threshold:
                return best
        leaps = (threshold * factor for factor in _LEAPS if within(threshold * factor))
        return next((leap for leap in leaps if self._helps(group, leap, alive)), threshold)

    def _helps(self, group: Sequence[str], threshold: float, alive: Sequence[Blobs]) -> bool:
        """Try a threshold, and keep it if it lowers the error."""
        swaps = {name: self.setting.load(name, threshold) for name in group}
        errors: list[float] = []
        half = (len(alive) + 1) // 2
        for part in (alive[:half], alive[half:]):
            outputs = self.walk.outputs(group[0], part, swaps)
            errors += [self.setting.error.of(len(errors) + i, x) for i, x in enumerate(outputs)]
            if sum(errors) >= sum(self.errors[: len(errors)]):
                return False
        self.walk.swap(swaps)
        self.errors = errors
        return True
