"""Whole networks, timed in turn on this machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ncnn
import numpy as np

from quantkit.backends.child import in_child
from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.latency.machine import machine_facts
from quantkit.latency.samples import LEAST_CLAIM, Milliseconds, in_turn, rounds_within, spread
from quantkit.model.shape_rule import Shape
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback

STAGE: Final = "networks timed"
_AGAIN: Final = "again"
_LEAST, _MOST = 8, 400


@dataclass(frozen=True)
class TimedNetwork:
    """A network to be timed.

    Attributes:
        files: Its .param and .bin.
        bf16: Keep its floating-point blobs and weights as bf16.
    """

    files: NcnnFiles
    bf16: bool = False


@dataclass(frozen=True)
class NetworkTimes:
    """Times of networks that were run in turn on one machine.

    Attributes:
        machine: What is known of the machine.
        times: By name.
        baseline: The network that the others are compared with.
        noise: How much the baseline, loaded and measured twice, differed.
        rounds: How often each was run.
    """

    machine: Mapping[str, Any]
    times: Mapping[str, Milliseconds]
    baseline: str
    noise: float
    rounds: int

    @property
    def claim(self) -> float:
        """The least difference, as a share, that is more than noise."""
        return max(LEAST_CLAIM, self.noise)

    def ratio(self, name: str) -> float:
        """Compare the median with the baseline's; below 1 is faster."""
        return self.times[name].median / self.times[self.baseline].median

    def p10_ratio(self, name: str) -> float:
        """Compare the tenth percentile with the baseline's."""
        return self.times[name].p10 / self.times[self.baseline].p10

    def faster(self, name: str, other: str) -> bool:
        """Tell whether a network is faster than another by more than noise, in both figures."""
        one, two = self.times[name], self.times[other]
        bound = 1 - self.claim
        return one.median < bound * two.median and one.p10 < bound * two.p10


def measure_networks(
    networks: Mapping[str, TimedNetwork],
    shape: Shape,
    *,
    baseline: str,
    seconds: float = 15.0,
    feedback: Feedback,
) -> NetworkTimes:
    """Time networks in a child process, in turn, in the one thread that each of them runs in.

    What is taken is the time of that thread. On a quiet machine it is the wall time; on a busy one
    it leaves out the time in which others had the core.

    Args:
        networks: By name.
        shape: Of their input: channels, height, width.
        baseline: The name of one of them; it is measured twice, to know the noise.
        seconds: How long it may take; large networks are run a few times whatever that is.
        feedback: Told how it goes.

    Raises:
        InputError: ncnn cannot run a network.
        BackendDied: ncnn died of a network.
    """
    given = (dict(networks), shape, baseline, seconds)
    return in_child("the timing of networks", feedback, time_networks, *given)


def time_networks(
    feedback: Feedback,
    networks: Mapping[str, TimedNetwork],
    shape: Shape,
    baseline: str,
    seconds: float,
) -> NetworkTimes:
    """Time networks in this process; see `measure_networks`."""
    facts = machine_facts()
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    names = [*networks, _AGAIN]
    timers: dict[str, Callable[[], float]] = {}
    for number, name in enumerate(names, start=1):
        network = networks[baseline if name == _AGAIN else name]
        timers[name] = _timer(network, ncnn.Mat(values).clone())
        feedback.progress(STAGE, number, len(names))
    rounds = rounds_within(timers, seconds, least=_LEAST, most=_MOST)
    times = {name: Milliseconds.of(one) for name, one in in_turn(timers, rounds).items()}
    noise = spread(times[baseline], times.pop(_AGAIN))
    return NetworkTimes(facts, times, baseline, round(noise, 4), rounds)


def _timer(network: TimedNetwork, source: ncnn.Mat) -> Callable[[], float]:
    net = NcnnNet.from_files(network.files, bf16=network.bf16)

    def run() -> float:
        start = time.thread_time()
        extractor = net.native.create_extractor()
        extractor.input(net.input, source)
        for name in net.outputs:
            status, made = extractor.extract(name)
            if status != 0 or made.empty():
                message = f"ncnn cannot compute '{name}' (status {status})"
                raise InputError(message, path=network.files.param)
        return time.thread_time() - start

    run()
    return run
