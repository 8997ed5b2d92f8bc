"""The steps of `best`, each kept only if it helps on training crops that it did not see.

What helps raises the SQNR of the output that has the lowest, so that a large output hides no other.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from quantkit.backends.first_forward import first_not_finite
from quantkit.calibration.calibrate import Calibration, calibrate
from quantkit.calibration.methods import METHODS
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.streaming import DENSELY_SAMPLED, collect_streaming
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError, QuantkitError, Unavailable
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.vector_convolutions import as_inner_products
from quantkit.optional import require
from quantkit.progress import Progress
from quantkit.quantization.int8 import quantize
from quantkit.storage import content_key
from quantkit.tuning.distillation import DistillSetting, learn
from quantkit.tuning.equalization import channel_ranges, equalize
from quantkit.tuning.forms import FormSetting, choose_forms, with_forms
from quantkit.tuning.fp32_layers import fp32_layers
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.plan import LEAST_STEPS, Plan, fitted, measured_costs
from quantkit.tuning.recipe import Material, Recipe, Step, Tuned
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_layer import RoundingOptions
from quantkit.tuning.rounding_moments import Sampling
from quantkit.tuning.sqnr import Outputs, sqnr_by_output, worst_db
from quantkit.tuning.thresholds import best_thresholds
from quantkit.tuning.thresholds_setting import (
    Setting,
    Thresholds,
    thresholds_of,
    with_thresholds,
)

_EQUALIZATION = "equalization"
_ROUNDED = 64
"""Crops that rounding learns the layers' inputs from; with 8 it makes simplepose 5 dB worse."""
_NEAR_DB = 3.0
"""How far the network as it is and equalized may differ for both to be searched."""
_NOTHING = Recipe(equalize=False, search=False, rounding=False, bias=False, learning=0)
_FEWEST = 4
"""Crops that choose layers for fp32 where none choose thresholds."""
_WORTH_TELLING_S = 10.0


Observe = Callable[[Step, Network, CalibrationTable], None]
"""Told after each step: what it was, and the network and the table that are kept then."""


def unobserved(step: Step, network: Network, table: CalibrationTable) -> None:
    """Look at nothing; the default of `tune`."""


def tune(material: Material, recipe: Recipe | None = None, observe: Observe = unobserved) -> Tuned:
    """Make a table and the network that it belongs to, whose int8 outputs err as little as known.

    Args:
        material: The network and the crops; all of them from training data.
        recipe: Which steps are taken.
        observe: Told after each step, for an ablation.

    Raises:
        InputError: A crop or the network cannot be used.
        Unavailable: Forms are asked for and torch is not installed.
    """
    recipe = recipe or Recipe()
    if recipe.forms:
        require("torch", extra="torch", purpose="Choosing forms of the inputs")
        # Both would move thresholds, which forms leave where their codes of zero fit.
        recipe = replace(recipe, search=False, learning=0)
    return _Tuning(material, recipe, observe).tuned()


@dataclass(frozen=True)
class _State:
    network: Network
    calibration: Calibration
    statistics: ActivationStatistics
    db: float
    origin: str
    outputs: Mapping[str, float]
    alone: Thresholds | None = None

    @property
    def table(self) -> CalibrationTable:
        return self.calibration.table


class _Tuning:
    """Takes the steps one after another and keeps those that help."""

    def __init__(self, material: Material, recipe: Recipe, observe: Observe) -> None:
        self._material = material
        self._observe = observe
        self._recipe = recipe
        self._steps: list[Step] = []
        self._start = time.monotonic()
        self._plan = Plan.whole(recipe, len(material.search))
        self._left_out: tuple[str, ...] = ()
        self._expected_s, self._decided = 0.0, 0.0
        self._reference = self._run(material.network)
        silent = [
            name
            for name, each in zip(material.outputs, zip(*self._reference, strict=True), strict=True)
            if not any(values.any() for values in each)
        ]
        if silent:
            names = ", ".join(silent)
            material.feedback.note(
                f"calibration: zero on all {len(self._reference)} crops that steps are judged by,"
                f" and left out of the judgement: {names}"
            )

    def tuned(self) -> Tuned:
        state = self._begun()
        if self._plan.fp32:
            state = self._step("layers in fp32", state, self._mixed)
        unformed = state
        if self._recipe.forms:
            state = self._step("forms of the inputs", state, self._formed)
        # Forms that are kept are rounded already.
        if self._plan.rounding and state is unformed:
            state = self._step("rounding by each layer's output", state, self._rounded)
        if self._plan.learning:
            state = self._step("learning from the fp32 outputs", state, self._learned)
        return Tuned(
            state.network, state.calibration, state.statistics, tuple(self._steps), self._left_out
        )

    def _begun(self) -> _State:
        """Calibrate and search, of the network as it is and equalized what promises more.

        Where neither is far behind, both are searched: how far that gets cannot be foreseen.
        """
        start = time.monotonic()
        network, detail = self._without_vector_convolutions(self._material.network)
        plain = self._calibrated(network)
        first = Step(plain.origin, True, None, plain.db, _since(start), detail, plain.outputs)
        self._note(first, plain)
        self._decide(plain)
        if not self._plan.equalize:
            return self._searched(plain)
        start = time.monotonic()
        try:
            equal, detail = self._equalized(plain)
        except InputError as error:
            self._note(_undone(_EQUALIZATION, plain, start, error), plain)
            return self._searched(plain)
        near = self._plan.both and abs(equal.db - plain.db) < _NEAR_DB
        if near:
            plain, equal = self._searched(plain), self._searched(equal, "equalized, ")
        better = self._better(_EQUALIZATION, plain, equal, start, detail)
        return better if near else self._searched(better)

    def _decide(self, state: _State) -> None:
        """Measure what the steps will take, and leave out what the budget does not allow.

        That is decided once: a run that was killed goes on with the plan that it had.
        """
        material, recipe = self._material, self._recipe
        whole = self._plan
        if whole == Plan.whole(_NOTHING, 0) or not state.table.layers:
            return
        setting = self._setting(state)
        key = content_key([setting.key, "plan", recipe.to_json(), material.budget_s])
        kept = setting.recall(key)
        if kept is None:
            spent = time.monotonic() - self._start
            long = whole.learning >= LEAST_STEPS
            costs = measured_costs(setting, spent, partial(self._tried, state) if long else None)
            spent, budget = time.monotonic() - self._start, material.budget_s
            plan = fitted(whole, costs, None if budget is None else max(0.0, budget - spent))
            kept = {
                "plan": plan.to_json(),
                "seconds": [one.seconds(costs) for one in (plan, whole)],
            }
            setting.keep(key, kept)
        self._plan = Plan(**kept["plan"])
        self._expected_s, uncut = kept["seconds"]
        self._decided = time.monotonic()
        self._left_out = self._plan.left_out(whole)
        note = f"calibration: the steps of 'best' take about {uncut:.0f} s"
        if self._left_out:
            what = ", ".join(self._left_out)
            self._steps.append(Step("left out to fit the budget", False, None, None, 0.0, what))
            note += (
                f", more than the budget of {material.budget_s:g} s; cut to about"
                f" {self._expected_s:.0f} s: {what} (--budget none does all of it)"
            )
        material.feedback.note(note)

    def _tried(self, state: _State, steps: int, progress: Progress) -> object:
        setting = replace(self._distillation(steps), checks=1, progress=progress)
        return learn(state.network, state.table, setting)

    def _step(
        self, name: str, state: _State, work: Callable[[_State], tuple[_State, str]]
    ) -> _State:
        start = time.monotonic()
        try:
            found, detail = work(state)
        except (InputError, Unavailable) as error:
            self._note(_undone(name, state, start, error), state)
            return state
        return self._better(name, state, found, start, detail)

    def _better(
        self, name: str, before: _State, found: _State, start: float, detail: str
    ) -> _State:
        kept = found.db > before.db
        better = found if kept else before
        seconds = _since(start)
        step = Step(name, kept, before.db, found.db, seconds, detail, found.outputs)
        self._note(step, better)
        return better

    def _note(self, step: Step, state: _State) -> None:
        self._steps.append(step)
        left = self._expected_s and self._expected_s - (time.monotonic() - self._decided)
        more = f"; about {left:.0f} s more" if left >= _WORTH_TELLING_S else ""
        self._material.feedback.note(f"calibration: {step.line()}{more}")
        self._observe(step, state.network, state.table)

    def _without_vector_convolutions(self, network: Network) -> tuple[Network, str]:
        try:
            rewritten = as_inner_products(network, self._shapes(network))
        except InputError:
            return network, ""
        if not rewritten.layers:
            return network, ""
        return rewritten.network, f"{len(rewritten.layers)} convolutions of vectors rewritten"

    def _calibrated(self, network: Network) -> _State:
        """Take the method whose int8 outputs err the least: which one depends on the network."""
        material = self._material
        statistics = self._statistics(network)
        states = [
            self._judged(
                network,
                calibrate(network, statistics, method).around(material.kept_fp32),
                statistics,
                method,
            )
            for method in METHODS
        ]
        best = max(states, key=lambda state: state.db)
        if best.db == -math.inf:
            int8 = quantize(network, best.table)
            place = first_not_finite(int8, material.input, material.held_out)
            message = f"the int8 outputs are not finite on training crops by any method{place}"
            raise InputError(message)
        return best

    def _statistics(self, network: Network) -> ActivationStatistics:
        material = self._material
        return collect_streaming(
            network,
            material.input,
            material.crops(),
            [one.name for one in int8_layers(network) if one.name not in material.kept_fp32],
            material.feedback.progress,
            material.threads,
            total=material.total,
            sampled=DENSELY_SAMPLED,
        )

    def _judged(
        self,
        network: Network,
        calibration: Calibration,
        statistics: ActivationStatistics,
        origin: str,
    ) -> _State:
        outputs = self._run(quantize(network, calibration.table))
        db = worst_db(self._reference, outputs)
        names, each = self._material.outputs, sqnr_by_output(self._reference, outputs)
        by_output = dict(zip(names, each, strict=True)) if len(names) > 1 else {}
        return _State(network, calibration, statistics, db, origin, by_output)

    def _setting(self, state: _State) -> Setting:
        material = self._material
        return Setting(
            network=state.network,
            table=state.table,
            input=material.input,
            outputs=material.outputs,
            crops=material.search[: self._plan.crops or _FEWEST],
            threads=material.threads,
            journal=material.journal,
            progress=material.feedback.progress,
        )

    def _searched(self, state: _State, what: str = "") -> _State:
        if not self._plan.crops:
            return state
        return self._step(f"{what}thresholds by the outputs", state, self._search)

    def _search(self, state: _State, *, alone: bool = True) -> tuple[_State, str]:
        found = best_thresholds(
            self._setting(state),
            state.statistics,
            held_out=self._material.held_out,
            rounds=int(self._plan.together),
            alone=alone,
        )
        table = with_thresholds(state.table, found.thresholds)
        return replace(self._with_table(state, table), alone=found.alone), ""

    def _equalized(self, state: _State) -> tuple[_State, str]:
        material = self._material
        ranges = channel_ranges(
            state.network, material.input, material.crops(), threads=material.threads
        )
        found = equalize(
            state.network,
            self._shapes(state.network),
            material.outputs,
            ranges,
            kept_fp32=material.kept_fp32,
        )
        equal = self._calibrated(found.network)
        report = found.report
        return equal, f"{report.free} of {report.channels} channels free, from {equal.origin}"

    def _mixed(self, state: _State) -> tuple[_State, str]:
        if state.alone:
            # Once thresholds were moved together, errors make up for each other: no layer in fp32
            # seems to help.
            state = self._with_table(state, with_thresholds(state.table, state.alone))
        choice = fp32_layers(self._setting(state), self._recipe.fp32_share)
        found = self._with_table(state, choice.table)
        if self._plan.crops:
            found, _ = self._search(found, alone=False)
        share = sum(pick.macs_share for pick in choice.picks)
        reason = "chosen to stay in fp32: it costs the outputs the most for its share of the work"
        left_out = {**state.calibration.left_out, **{one.name: reason for one in choice.picks}}
        calibration = replace(found.calibration, left_out=left_out)
        names = ", ".join(pick.name for pick in choice.picks)
        return replace(found, calibration=calibration), f"{share:.1%} of the work: {names}"

    def _formed(self, state: _State) -> tuple[_State, str]:
        """Give inputs their forms, and round.

        Biases must take what rounding does to the offset of a zero point, so both are one step.
        """
        material = self._material
        setting = FormSetting(
            material.input,
            material.outputs,
            material.learned or material.search,
            threads=material.threads,
            progress=material.feedback.progress,
        )
        forms = choose_forms(state.network, state.table.layers, setting)
        formed = with_forms(state.network, state.table, forms)
        calibration = replace(
            state.calibration, table=formed.table, thresholds=thresholds_of(formed.table)
        )
        found = replace(
            state,
            network=formed.network,
            calibration=calibration,
            statistics=self._statistics(formed.network),
        )
        detail = f"{len(forms)} of {len(state.table.layers)} layers, rounded by each layer's output"
        return self._rounded(found, bias=True)[0], detail

    def _rounded(self, state: _State, *, bias: bool | None = None) -> tuple[_State, str]:
        material = self._material
        options = RoundingOptions(
            rounding="gptq" if self._recipe.rounding else "nearest",
            bias=self._recipe.bias if bias is None else bias,
        )
        sampling = Sampling(
            lambda: material.learned[:_ROUNDED],
            material.input,
            threads=material.threads,
            total=min(_ROUNDED, len(material.learned)),
            progress=material.feedback.progress,
        )
        found = round_weights(state.network, state.table, sampling, options)
        return self._judged(found.network, state.calibration, state.statistics, state.origin), ""

    def _learned(self, state: _State) -> tuple[_State, str]:
        setting = self._distillation(self._plan.learning)
        found = learn(state.network, state.table, setting)
        calibration = replace(
            state.calibration, table=found.table, thresholds=thresholds_of(found.table)
        )
        learned = self._judged(found.network, calibration, state.statistics, state.origin)
        return learned, f"after {found.report.step} of {setting.steps} steps"

    def _distillation(self, steps: int) -> DistillSetting:
        material = self._material
        return DistillSetting(
            material.input,
            material.outputs,
            material.learned,
            material.held_out,
            teacher=material.network,
            steps=steps,
            threads=material.threads,
            progress=material.feedback.progress,
        )

    def _with_table(self, state: _State, table: CalibrationTable) -> _State:
        calibration = replace(state.calibration, table=table, thresholds=thresholds_of(table))
        return self._judged(state.network, calibration, state.statistics, state.origin)

    def _shapes(self, network: Network) -> Mapping[str, tuple[int, ...]]:
        shape = self._material.search[0].shape
        return blob_shapes(network.param, {self._material.input: shape})

    def _run(self, network: Network) -> list[Outputs]:
        material = self._material
        return outputs_on(
            network, material.input, material.outputs, material.held_out, material.threads
        )


def _since(start: float) -> float:
    return round(time.monotonic() - start, 1)


def _undone(name: str, state: _State, start: float, error: QuantkitError) -> Step:
    return Step(name, False, state.db, None, _since(start), f"cannot be done: {error}")
