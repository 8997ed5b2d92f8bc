"""The search for the fastest mix that holds bounds: the work of a child process.

It begins with the layers that are predicted to be clearly faster in int8, orders them by the error
of the outputs that each costs for a millisecond saved, and gives up as few as it takes, by
bisection. Where that gives up much, the layers are calibrated anew, for the mix alone. Channel
shuffles run as one layer in every mix, which is faster and changes no bit.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import GateFailed
from quantkit.journal import Journal
from quantkit.latency.samples import LEAST_CLAIM
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.progress import Feedback
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.judge import Judge
from quantkit.sensitivity.search_costs import LayerCost, in_order_of_cost, least
from quantkit.sensitivity.search_mix import Mix
from quantkit.sensitivity.search_plan import Plan, planned
from quantkit.sensitivity.search_report import Bounds
from quantkit.sensitivity.search_starts import Crops, Start, calibrated_anew
from quantkit.sensitivity.sweep import Sweep
from quantkit.storage import content_key
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs
from quantkit.tuning.suffix import Array
from quantkit.tuning.thresholds_alone import errors_alone
from quantkit.tuning.thresholds_setting import thresholds_of

ALL = "all int8"
STAGE = "mixes"
_MUCH = 0.9
_HARDLY = LEAST_CLAIM / 2  # of the time of the layers


@dataclass(frozen=True)
class SearchRequest:
    """What a search is about.

    Attributes:
        sweep: The network and the table that it begins with, and the train persons that judge.
        calibration: Crops of the calibration set.
        costs: Predicted times by layer of the table.
        bounds: What has to be held.
        journal: File that keeps what was found, so that a killed search goes on.
        threads: How many crops are run at a time.
        budget: Seconds that it may take, about.
    """

    sweep: Sweep
    calibration: tuple[Array, ...]
    costs: Mapping[str, LayerCost]
    bounds: Bounds
    journal: Path
    threads: int = 2
    budget: float | None = None


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers of a start in the order in which they are given up, and how many of them are.

    Attributes:
        start: The network and the table.
        order: The layers.
        given_up: How many of them it takes to hold the bounds.
        nearly: How many may be given up at hardly a loss of time.
        errors: Of the outputs with a layer alone in int8, by layer: noise over signal.
    """

    start: Start
    order: tuple[str, ...]
    given_up: int
    nearly: int
    errors: Mapping[str, float]

    def mix(self, count: int) -> Mix:
        """Give up some layers."""
        name = f"{self.start.name}, {count} given up" if count else self.start.name
        kept = set(self.order[count:])
        table = self.start.table
        return Mix(name, self.start.network, table.only([x for x in table.layers if x in kept]))


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        tried: The mixes whose outputs were looked at, with what was found.
        bf16: What bf16 storage does to the outputs of fp32.
        chains: One for each start.
        persons: How many judged.
    """

    tried: tuple[tuple[Mix, Effect], ...]
    bf16: Effect
    chains: tuple[Chain, ...]
    persons: int


def search(feedback: Feedback, request: SearchRequest) -> Found:
    """Search.

    Args:
        feedback: Told what it will cost and how it goes.
        request: What to do.

    Raises:
        GateFailed: No layer is predicted to be clearly faster in int8.
        InputError: A network cannot be run.
    """
    pays = [name for name, cost in request.costs.items() if cost.pays]
    if not pays:
        message = "no layer is predicted to be clearly faster in int8 than in fp32: keep fp32"
        raise GateFailed(message)
    return _Search(feedback, request, pays).found()


class _Search:
    """The persons that judge, and what they have said so far."""

    def __init__(self, feedback: Feedback, request: SearchRequest, pays: list[str]) -> None:
        self._feedback = feedback
        self._request = request
        self._pays = pays
        self._journal = Journal(request.journal)
        outputs = request.sweep.original.outputs
        self._exported = with_joined_shuffles(request.sweep.original_network(), outputs)
        self._base = with_joined_shuffles(request.sweep.network(), outputs)
        self._plan = self._planned()
        self._crops = Crops(
            request.calibration, request.sweep.original, request.threads, self._journal, feedback
        )
        self._sweep = request.sweep.some(self._plan.persons)
        ap = request.bounds.max_drop is not None
        self._judge = Judge(self._sweep, self._outputs(None), ap=ap)
        self._tried: list[tuple[Mix, Effect]] = []

    def found(self) -> Found:
        """Try mixes of one start, and of others if that does not hold the bounds."""
        request = self._request
        everything = Mix(ALL, self._base, request.sweep.table)
        self._effect(everything)
        self._with_masks(everything)
        table = request.sweep.table.only(self._pays)
        chains = [self._chain(Start("int8 where it pays", self._base, table))]
        if self._plan.anew and self._is_costly(chains[0]):
            for start in calibrated_anew(self._exported, self._pays, self._crops):
                chains.append(self._chain(start))
                if not self._is_costly(chains[-1]):
                    break
        chains = [replace(chain, nearly=self._nearly(chain)) for chain in chains]
        for chain in chains:
            self._effect(chain.mix(chain.nearly))
            self._with_masks(chain.mix(chain.given_up))
        self._feedback.progress(STAGE, len(self._tried), len(self._tried))
        return Found(tuple(self._tried), self._bf16(), tuple(chains), self._plan.persons)

    def _chain(self, start: Start) -> Chain:
        request = self._request
        setting = self._crops.setting(start.network, start.table)
        given = {name: (value,) for name, value in thresholds_of(start.table).items()}
        errors = {name: found[0] for name, found in errors_alone(setting, given).items()}
        order = in_order_of_cost(request.costs, errors, start.table.layers)
        chain = Chain(start, order, 0, 0, errors)
        return replace(
            chain, given_up=least(lambda count: self._holds(chain.mix(count)), len(order))
        )

    def _saved(self, chain: Chain, count: int) -> float:
        return sum(self._request.costs[name].saved for name in chain.order[count:])

    def _is_costly(self, chain: Chain) -> bool:
        """Tell whether much of the time that int8 could save has to be given up."""
        return self._saved(chain, chain.given_up) < _MUCH * self._saved(chain, 0)

    def _nearly(self, chain: Chain) -> int:
        """Give up so many more that the loss of time could hardly be measured."""
        hardly = _HARDLY * sum(cost.ms_fp32 for cost in self._request.costs.values())
        least = self._saved(chain, chain.given_up) - hardly
        counts = range(chain.given_up, len(chain.order))
        fitting = [count for count in counts if self._saved(chain, count) >= least]
        return fitting[-1] if fitting else chain.given_up

    def _with_masks(self, mix: Mix) -> None:
        """Try a mix with masks, too, where they are predicted to help; its outputs may differ."""
        masked = mix.with_masks(self._request.costs)
        if masked.masks:
            self._effect(masked)

    def _holds(self, mix: Mix) -> bool:
        return self._request.bounds.broken_by(self._effect(mix)) is None

    def _effect(self, mix: Mix) -> Effect:
        key = content_key(
            [self._sweep.key, mix.network.sha256, mix.scales.text(), sorted(mix.masks)]
        )
        effect = self._kept(key, lambda: self._outputs(mix))
        if mix.name not in {one.name for one, _ in self._tried}:
            self._tried.append((mix, effect))
        # How many it takes is not known: one more than were needed so far.
        self._feedback.progress(STAGE, len(self._tried), len(self._tried) + 1)
        return effect

    def _bf16(self) -> Effect:
        key = content_key([self._sweep.key, self._exported.sha256, "bf16"])
        return self._kept(key, lambda: self._outputs(None, bf16=True))

    def _kept(self, key: str, run: Callable[[], list[Outputs]]) -> Effect:
        kept = self._journal.find(key)
        if kept is None:
            kept = asdict(self._judge.effect(run()))
            self._journal.record(key, kept)
        interval = kept["ap_drop_ci"]
        return Effect(**{**kept, "ap_drop_ci": interval and (interval[0], interval[1])})

    def _outputs(self, mix: Mix | None, *, bf16: bool = False) -> list[Outputs]:
        files = self._request.sweep.original
        network = self._exported if mix is None else mix.quantized()
        crops, threads = self._sweep.crops, self._request.threads
        return outputs_on(network, files.input, files.outputs, crops, threads, bf16=bf16)

    def _planned(self) -> Plan:
        request, files = self._request, self._request.sweep.original
        forward = math.inf
        with NcnnNet.of(self._exported, files.input, files.outputs) as net:
            for _ in range(3):
                start = time.perf_counter()
                net.run(request.sweep.crops[0])
                forward = min(forward, time.perf_counter() - start)
        plan = planned(
            forward=forward / min(request.threads, 2),
            layers=len(self._pays),
            persons=len(request.sweep.shown),
            budget=request.budget,
        )
        self._feedback.note(plan.line())
        return plan
