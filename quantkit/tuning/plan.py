"""What of a recipe is done in the time that it may take."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from quantkit.errors import InputError, Unavailable
from quantkit.progress import Progress
from quantkit.tuning.recipe import Recipe
from quantkit.tuning.thresholds_setting import Setting, thresholds_of

_SAFE: Final = 0.9
_CANDIDATES, _FIRST_CROPS, _RACING = 9, 2, 3
"""What the first pass tries of a layer, on the first crops and on the others; see
`thresholds_alone`."""
_MOVES: Final = 4
"""What the second pass tries of a layer, many on half of the crops; see `thresholds_together`."""
_SWEEPS: Final = 3
_PASS: Final = 1.6
"""What equalization takes, and what rounding does, as a multiple of the first calibration."""
_LEAST_CROPS, LEAST_STEPS = 4, 40
_STEPS: Final = 3
"""Steps of learning that are taken to measure one."""
_CHECKS: Final = 9


@dataclass(frozen=True)
class Costs:
    """What parts of the work take on one network, in seconds.

    Attributes:
        layers: How many layers are searched.
        calibration: The first calibration: statistics of all crops, and each method's outputs.
        behind: One crop from a layer in the middle to the outputs.
        step: One step of learning; 0 where it cannot be done.
        checks: The checks of learning on the crops held out, all together.
    """

    layers: int
    calibration: float
    behind: float
    step: float
    checks: float


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        equalize: Equalize channels.
        rounding: Round weights, or correct biases, by what a layer gives.
        crops: How many crops choose thresholds; 0 for no search.
        both: Search both the network as it is and equalized, where neither is far behind.
        together: Move thresholds with all layers in int8, too.
        fp32: Choose layers to stay in fp32.
        learning: Steps of learning.
    """

    equalize: bool
    rounding: bool
    crops: int
    both: bool
    together: bool
    fp32: bool
    learning: int

    @classmethod
    def whole(cls, recipe: Recipe, crops: int) -> Self:
        """Leave nothing of a recipe out."""
        searched = crops if recipe.search else 0
        both = bool(searched) and recipe.equalize
        return cls(
            equalize=recipe.equalize,
            rounding=recipe.rounding or recipe.bias,
            crops=searched,
            both=both,
            together=bool(searched),
            fp32=recipe.fp32_share > 0,
            learning=recipe.learning,
        )

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of the journal."""
        return asdict(self)

    def seconds(self, costs: Costs) -> float:
        """Estimate what it takes."""
        crops, first = self.crops, min(self.crops, _FIRST_CROPS)
        alone = _CANDIDATES * first + _RACING * (crops - first)
        moves = _MOVES * crops * 0.75 * self.together
        # Each layer is walked to as well, which is one forward of all layers for each pass.
        searched = costs.layers * (alone + moves) * costs.behind * (2 if self.both else 1)
        mixing = costs.layers * _SWEEPS * max(crops, _LEAST_CROPS) * costs.behind * self.fp32
        learning = (self.learning * costs.step + costs.checks) if self.learning else 0.0
        passes = _PASS * costs.calibration * (self.equalize + self.rounding)
        return passes + searched + mixing + learning

    def left_out(self, whole: "Plan") -> tuple[str, ...]:
        """Say what it leaves out of the whole."""
        chosen = f"thresholds by {self.crops} crops instead of {whole.crops}"
        crops = [chosen if self.crops else "thresholds by the outputs"]
        lacking = {
            "the search of the other of the two networks": whole.both and not self.both,
            "thresholds moved together": whole.together and not self.together,
            "layers in fp32": whole.fp32 and not self.fp32,
        }
        searching = [what for what, is_so in lacking.items() if is_so and self.crops]
        searching += ["layers in fp32"] if lacking["layers in fp32"] and not self.crops else []
        fewer = f"{self.learning} steps of learning instead of {whole.learning}"
        learning = [fewer] if self.learning < whole.learning else []
        passes = [
            what
            for what, is_so in {
                "equalization": whole.equalize and not self.equalize,
                "rounding by each layer's output": whole.rounding and not self.rounding,
            }.items()
            if is_so
        ]
        return (*passes, *crops * (self.crops < whole.crops), *searching, *learning)


def measured_costs(
    setting: Setting, calibration: float, learn: Callable[[int, Progress], object] | None
) -> Costs:
    """Measure what parts of the work take, on a few crops.

    Args:
        setting: The network, its table and the crops of a search.
        calibration: Seconds that the first calibration took.
        learn: Takes so many steps of learning, with one check after the last; None where there is
            nothing to learn.

    Raises:
        InputError: The network cannot be run.
    """
    few = replace(setting, crops=setting.crops[:_LEAST_CROPS])
    names = few.table.layers
    middle = names[len(names) // 2]
    with few.walk(few.network) as walk:
        alive = walk.before(middle)
        start = time.monotonic()
        walk.outputs(middle, alive, {middle: few.load(middle, thresholds_of(few.table)[middle])})
        behind = (time.monotonic() - start) / len(few.crops)
    step, checks = (0.0, 0.0) if learn is None else _learning_costs(learn)
    return Costs(len(names), calibration, behind, step, checks)


def _learning_costs(learn: Callable[[int, Progress], object]) -> tuple[float, float]:
    times: list[float] = []
    try:
        learn(_STEPS, lambda *_: times.append(time.monotonic()))
    except (InputError, Unavailable):
        return 0.0, 0.0  # The step itself will say so.
    # The first one also allocates; the last one ends with a check.
    step = times[1] - times[0]
    return step, _CHECKS * max(0.0, times[2] - times[1] - step)


def fitted(whole: Plan, costs: Costs, seconds: float | None) -> Plan:
    """Cut a plan down to a time.

    Half of it goes to the search and half to learning; what one does not need, the other gets.

    Args:
        whole: All that was asked for.
        costs: Of the network.
        seconds: The time; None for as long as it takes.

    Returns:
        The plan itself where it fits, else the largest that does, or the least there is.

    Example:
        >>> costs = Costs(layers=10, calibration=1.0, behind=0.005, step=0.2, checks=1.0)
        >>> whole = Plan.whole(Recipe(), crops=8)
        >>> round(whole.seconds(costs)), fitted(whole, costs, 600) == whole
        (70, True)
        >>> fitted(whole, costs, 20).left_out(whole)[-1]
        '54 steps of learning instead of 300'
    """
    if seconds is None or whole.seconds(costs) <= _SAFE * seconds:
        return whole
    left = _SAFE * seconds
    learned = whole.learning * costs.step + costs.checks if whole.learning else 0.0
    for_search = max(left / 2, left - learned)
    searches = list(_smaller(replace(whole, learning=0)))
    fits = (one for one in searches if one.seconds(costs) <= for_search)
    search = next(fits, searches[-1])
    if not whole.learning or not costs.step:
        return replace(search, learning=whole.learning)
    free = left - search.seconds(costs) - costs.checks
    steps = min(whole.learning, int(free / costs.step))
    return replace(search, learning=steps if steps >= min(LEAST_STEPS, whole.learning) else 0)


def _smaller(plan: Plan) -> Iterator[Plan]:
    yield plan
    plan = replace(plan, both=False)
    yield plan
    while plan.crops > _LEAST_CROPS:
        plan = replace(plan, crops=max(_LEAST_CROPS, plan.crops // 2))
        yield plan
    yield (plan := replace(plan, fp32=False))
    yield (plan := replace(plan, together=False))
    yield (plan := replace(plan, crops=0))
    yield (plan := replace(plan, equalize=False))
    yield replace(plan, rounding=False)
