"""The cascade: cheap figures of every layer, costly ones of those that matter, remedies for them.

Every finished layer is kept in a journal under a key of all that its figures depend on, so a kill
loses one layer, and nothing stale is found. Records are appended in one write each: two runs at
once in one folder add to the same file.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from quantkit.journal import Journal
from quantkit.progress import Feedback
from quantkit.sensitivity.costs import Costs, timed_costs
from quantkit.sensitivity.facts import LayerFacts
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.isolated_map import Died, IsolatedPool
from quantkit.sensitivity.plan import Effort, estimate, fitted, fitted_worst
from quantkit.sensitivity.report import effect_of
from quantkit.sensitivity.sessions import (
    ALL_LAYERS,
    Measure,
    Measurement,
    open_alone,
    open_ap_alone,
    open_ap_without,
    open_without,
)
from quantkit.sensitivity.sweep import Sweep
from quantkit.sensitivity.trials import Trials, open_trials
from quantkit.storage import content_key, json_value

# Deaths that a layer causes; a child that somebody else ended is tried again by the next run.
_CRASHES: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")
_AP_FIELDS: Final = ("oks_drop", "ap_drop", "ap_drop_ci")


@dataclass(frozen=True)
class Found:
    """What a cascade measured.

    Attributes:
        effort: How much was measured in the end.
        all_int8: With every layer in int8 that does not kill the runtime.
        layers: By layer, what the sessions gave: `alone`, `own`, `weights`, `activations`,
            `without`, `inherited`, `in_int8`, or the effects that a crash left.
        facts: By layer, unless it crashed.
        trials: By layer, of the worst ones.
        ap_layers: The layers whose OKS and AP were measured on all crops.
    """

    effort: Effort
    all_int8: Effect
    layers: Mapping[str, Measurement]
    facts: Mapping[str, LayerFacts]
    trials: Mapping[str, Trials]
    ap_layers: tuple[str, ...]


class Cascade:
    """Measures the layers of a table, the costly figures last.

    Args:
        sweep: The network, the table and persons to judge every layer by.
        ap_sweep: The same with persons to measure the AP on.
        effort: How much is asked for.
        journal: Keeps finished layers.
        workers: Child processes, one thread each.
        feedback: Told what it will cost, and how it goes.
    """

    def __init__(
        self,
        sweep: Sweep,
        ap_sweep: Sweep,
        effort: Effort,
        journal: Journal,
        *,
        workers: int = 2,
        feedback: Feedback | None = None,
    ) -> None:
        self._sweep, self._ap_sweep = sweep, ap_sweep
        self._asked = effort
        self._journal = journal
        self._workers = workers
        self._pool = IsolatedPool(workers)
        self._feedback = feedback or Feedback()
        self._start = time.monotonic()
        order = {layer.name: n for n, layer in enumerate(sweep.network().param.layers)}
        self._names = sorted(sweep.table.layers, key=lambda name: order.get(name, -1))

    def run(self) -> Found:
        """Measure all of it.

        Raises:
            InputError: The network, the table or a person cannot be used.
            BackendDied: The fp32 network ends the runtime.
        """
        with self._pool:
            return self._found()

    def _found(self) -> Found:
        effort, costs = self._planned()
        sweep = self._sweep.some(effort.crops)
        started = time.monotonic()
        alone = self._stage("each layer alone in int8", open_alone, sweep, self._names)
        layers = {name: _measured("alone", alone[name]) for name in self._names}
        # One layer that ends the runtime, or gives no numbers, would hide all the others.
        dead = [name for name, one in layers.items() if one["alone"]["died"] is not None]
        rest = [name for name in self._names if name not in dead]
        others = sweep.without(dead)
        tasks = [ALL_LAYERS, *rest]
        without = self._stage("all layers but one in int8", open_without, others, tasks)
        whole = without.pop(ALL_LAYERS)
        for name in rest:
            layers[name] |= _measured("without", without[name])
        all_int8 = effect_of(whole.get("all_int8", {"died": whole.get("died")}))
        facts = {name: LayerFacts(**alone[name]["facts"]) for name in rest}
        effort = self._planned_worst(effort, costs, time.monotonic() - started)
        worst = _worst(layers, rest, effort.ap_layers)
        all_int8, measured = self._with_ap(effort, dead, worst, layers, all_int8)
        chosen = {name: facts[name] for name in worst}
        trials = self._stage("remedies", open_trials, others, worst, (chosen,))
        return Found(
            effort=effort,
            all_int8=all_int8,
            layers=layers,
            facts=facts,
            trials={name: Trials(**one) for name, one in trials.items() if "died" not in one},
            ap_layers=measured,
        )

    def _with_ap(
        self,
        effort: Effort,
        dead: Sequence[str],
        worst: Sequence[str],
        layers: dict[str, Measurement],
        all_int8: Effect,
    ) -> tuple[Effect, tuple[str, ...]]:
        """Put the OKS and AP of the worst layers into their effects, in both directions."""
        if not worst or not effort.ap_crops:
            return all_int8, ()
        sweep = self._ap_sweep.some(effort.ap_crops)
        alone = self._stage("AP, each alone in int8", open_ap_alone, sweep, worst)
        tasks = [ALL_LAYERS, *worst]
        others = sweep.without(dead)
        without = self._stage("AP, all but one in int8", open_ap_without, others, tasks)
        whole = without.pop(ALL_LAYERS, {})
        for name in worst:
            for key, found in (("alone", alone), ("without", without)):
                _add_ap(layers[name], key, found.get(name, {}))
        both = {"all_int8": asdict(all_int8)}
        _add_ap(both, "all_int8", whole)
        measured = tuple(name for name in worst if "alone" in alone.get(name, {}))
        return effect_of(json_value(both["all_int8"])), measured

    def _planned(self) -> tuple[Effort, Costs | None]:
        """Decide how much is measured, once: a run that goes on keeps to it."""
        asked = self._asked
        key = self._key(self._sweep, "plan", asdict(asked))
        kept = self._journal.find(key)
        if kept is not None:
            self._feedback.note(f"sensitivity: goes on as planned, {_said(Effort(**kept))}")
            return Effort(**kept), None
        costs = timed_costs(self._sweep, self._pool)
        effort = asked
        if asked.budget_s is not None:
            effort = fitted(asked, costs, self._workers, self._left(asked.budget_s))
        expected = estimate(effort, costs, self._workers)
        self._journal.record(key, asdict(effort))
        self._feedback.note(
            f"sensitivity: {len(self._names)} layers, {_said(effort)}:"
            f" {expected.runs} runs from a layer on, about {expected.seconds:.0f} s"
        )
        if asked.budget_s is not None and expected.seconds > self._left(asked.budget_s):
            self._feedback.note(f"sensitivity: {asked.budget_s:g} s is too little, it takes longer")
        return effort, costs

    def _planned_worst(self, effort: Effort, costs: Costs | None, took: float) -> Effort:
        """Cut what is measured of the worst layers down again, should all have taken longer."""
        if effort.budget_s is None:
            return effort
        key = self._key(self._sweep, "plan of the worst", asdict(self._asked))
        kept = self._journal.find(key)
        if kept is None:
            kept = asdict(effort)
            if costs is not None:
                expected = estimate(effort, costs, self._workers).layers_s
                slower = max(1.0, took / expected)
                left = self._left(effort.budget_s) / slower
                kept = asdict(fitted_worst(effort, costs, self._workers, left))
            self._journal.record(key, kept)
        return Effort(**kept)

    def _left(self, budget: float) -> float:
        return budget - (time.monotonic() - self._start)

    def _stage(
        self,
        stage: str,
        open_session: Callable[..., Measure],
        sweep: Sweep,
        tasks: Sequence[str],
        more: tuple[Any, ...] = (),
    ) -> dict[str, Measurement]:
        """Do tasks in child processes; what the journal holds is not done again."""
        keys = {task: self._key(sweep, stage, task) for task in tasks}
        kept = {task: self._journal.find(key) for task, key in keys.items()}
        results = {task: value for task, value in kept.items() if value is not None}
        todo = [task for task in tasks if task not in results]
        if tasks:
            self._feedback.progress(stage, len(results), len(tasks))
        arguments = (sweep, *more)
        for task, outcome in self._pool.map(open_session, arguments, todo):
            died = isinstance(outcome, Died)
            value = {"died": outcome.how} if isinstance(outcome, Died) else json_value(outcome)
            results[task] = value
            if not died or value["died"] in _CRASHES:
                self._journal.record(keys[task], value)
            self._feedback.progress(stage, len(results), len(tasks))
        return {task: results[task] for task in tasks}

    def _key(self, sweep: Sweep, stage: str, task: object) -> str:
        return content_key([sweep.key, stage, task])


def _measured(key: str, found: Measurement) -> Measurement:
    """Turn the death of a child into the effect that it stands for."""
    return {key: asdict(Effect(died=found["died"]))} if "died" in found else found


def _add_ap(measured: Measurement, key: str, found: Measurement) -> None:
    if key in found and found[key]["died"] is None and measured.get(key):
        measured[key] = {**measured[key], **{name: found[key][name] for name in _AP_FIELDS}}


def _worst(layers: Mapping[str, Measurement], names: Sequence[str], count: int) -> list[str]:
    """Take the worst of both directions in turn, in the order of the network."""
    by_alone = sorted(names, key=lambda name: _decibels(layers[name]["alone"]))
    by_gain = sorted(names, key=lambda name: -_decibels(layers[name]["without"]))
    turns = (name for pair in zip(by_alone, by_gain, strict=True) for name in pair)
    chosen = set(list(dict.fromkeys(turns))[:count])
    return [name for name in names if name in chosen]


def _decibels(effect: Measurement) -> float:
    if effect["died"] is not None:
        return -math.inf
    return math.inf if effect["peak_noise_db"] is None else float(effect["peak_noise_db"])


def _said(effort: Effort) -> str:
    worst = "no AP"
    if effort.ap_layers and effort.ap_crops:
        worst = f"OKS, AP and remedies of the {effort.ap_layers} worst on {effort.ap_crops} crops"
    elif effort.ap_layers:
        worst = f"remedies of the {effort.ap_layers} worst, no AP"
    return f"{effort.crops} crops each, {worst}"
