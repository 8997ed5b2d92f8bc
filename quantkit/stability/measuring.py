"""The work behind a curve, done in a child process: tables, int8 networks and their figures."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.nested import collect_nested
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.streaming import sampled_values
from quantkit.calibration.table import CalibrationTable
from quantkit.data.coco import Person
from quantkit.data.preprocess import crops
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.progress import Feedback
from quantkit.quantization.int8 import quantize
from quantkit.stability.disjoint import DisjointSets, compare_disjoint, median_ratio
from quantkit.stability.judges import Judges, between
from quantkit.stability.points import Point
from quantkit.stability.recommendation import Recommendation, recommend
from quantkit.stability.task import CurveTask


@dataclass(frozen=True)
class Curve:
    """What was measured: the figures of a `CurveReport` that need the network."""

    fp32_ap: float | None
    points: tuple[Point, ...]
    recommended: Recommendation
    disjoint: tuple[DisjointSets, ...]


def measure(feedback: Feedback, task: CurveTask) -> Curve:
    """Measure every point of a curve, then the disjoint sets.

    What the journal holds already is not measured again: with all of it there, the network does
    not run.

    Args:
        feedback: Told what it will cost, and how it goes.
        task: What is asked for.

    Raises:
        InputError: An image or the network cannot be used.
    """
    work = _Work(feedback, task)
    points = work.points()
    recommended = recommend(points, task.pool)
    disjoint = tuple(work.disjoint(size) for size in _disjoint_sizes(task, recommended.size))
    return Curve(work.fp32_ap(), points, recommended, disjoint)


def _disjoint_sizes(task: CurveTask, recommended: int | None) -> list[int]:
    """Take the recommended size, and the largest that fits twice into the orders."""
    length = min(map(len, task.orders.values()))
    fitting = [size for size in task.sizes if 2 * size <= length]
    wanted = {size for size in fitting if size == recommended} | set(fitting[-1:])
    return sorted(wanted)


class _Work:
    def __init__(self, feedback: Feedback, task: CurveTask) -> None:
        self._feedback = feedback
        self._task = task
        self._journal = Journal(task.journal)
        self._base = task.base_key()
        self._runs = 0
        self._total = 0

    @cached_property
    def _network(self) -> Network:
        return self._task.network()

    @cached_property
    def _layers(self) -> list[str]:
        return [layer.name for layer in int8_layers(self._network)]

    @cached_property
    def _judges(self) -> Judges:
        return Judges(self._task, self._network)

    def fp32_ap(self) -> float | None:
        key = self._task.set_key(self._base)
        found = self._journal.find(key)
        if found is None:
            found = {"ap": self._judges.fp32_ap}
            self._journal.record(key, found)
        return None if found["ap"] is None else float(found["ap"])

    def points(self) -> tuple[Point, ...]:
        missing = {seed: self._missing(seed) for seed in self._task.orders}
        count = sum(map(len, missing.values()))
        self._total = sum(
            (sizes or [0])[-1] + len(sizes) * len(self._task.judges) for sizes in missing.values()
        )
        done = len(self._task.sizes) * len(self._task.orders) - count
        if done:
            self._feedback.note(f"curve: {done} tables are known already, {count} are not")
        started = time.perf_counter()
        for seed, sizes in missing.items():
            for size, statistics in self._statistics(self._task.orders[seed], sizes):
                self._record(seed, size, statistics)
                if started:
                    self._estimate(time.perf_counter() - started, count, size)
                    started = 0.0
        return tuple(
            self._point(seed, size) for seed in self._task.orders for size in self._task.sizes
        )

    def _missing(self, seed: int) -> list[int]:
        sizes = self._task.sizes
        return [size for size in sizes if self._journal.find(self._key(seed, size)) is None]

    def _key(self, seed: int, size: int) -> str:
        return self._task.set_key(self._base, self._task.orders[seed][:size])

    def _statistics(
        self, persons: Sequence[Person], sizes: Sequence[int], shown: str = "curve"
    ) -> Iterator[tuple[int, ActivationStatistics]]:
        if not sizes:
            return iter(())

        def progress(stage: str, done: int, total: int) -> None:
            self._runs += 1
            self._feedback.progress(shown, self._runs, self._total)

        return collect_nested(
            self._network,
            self._task.files.input,
            self._tensors(persons[: sizes[-1]]),
            self._layers,
            sizes,
            progress,
            self._task.threads,
            describe=lambda k: f"{persons[k].file_name} ({persons[k].annotation_id})",
            sampled=sampled_values(self._task.method),
        )

    def _tensors(self, persons: Sequence[Person]) -> Iterator[NDArray[np.float32]]:
        return (crop.tensor for crop in crops(persons, self._task.spec))

    def _table(self, statistics: ActivationStatistics) -> CalibrationTable:
        return calibrate(self._network, statistics, self._task.method).table

    def _record(self, seed: int, size: int, statistics: ActivationStatistics) -> None:
        table = self._table(statistics)
        figures = self._judges.figures(quantize(self._network, table))
        scales = dict(table.activation_scales)
        self._journal.record(self._key(seed, size), {**figures, "scales": scales})
        self._runs += len(self._task.judges)
        self._feedback.progress("curve", self._runs, self._total)

    def _point(self, seed: int, size: int) -> Point:
        found = self._journal.find(self._key(seed, size))
        assert found is not None
        interval = found["ap_drop_ci"]
        return Point(**{**found, "ap_drop_ci": interval and tuple(interval)}, size=size, seed=seed)

    def _estimate(self, seconds: float, tables: int, size: int) -> None:
        """Say what the rest will cost, from the first table and the runs that it took."""
        # The first runs held the fp32 network on the judges, too.
        runs = size + 2 * len(self._task.judges)
        left = seconds / runs * (self._total - self._runs)
        self._feedback.note(
            f"curve: {tables} tables, {self._total} runs of the network; about {left:.0f} s more"
        )

    def disjoint(self, size: int) -> DisjointSets:
        seed, order = next(iter(self._task.orders.items()))
        first, second = order[:size], order[size : 2 * size]
        key = self._task.set_key(self._base, first, second)
        found = self._journal.find(key) or self._compared(key, size, first, second)
        one, two = found["first"], found["second"]
        return DisjointSets(
            size=size,
            seed=seed,
            layers=len(one.keys() & two.keys()),
            median_ratio=median_ratio(one, two),
            disagreements=compare_disjoint(one, two, self._task.tolerance),
            sqnr_db=found["sqnr_db"],
        )

    def _compared(self, key: str, size: int, *sets: Sequence[Person]) -> dict[str, Any]:
        self._runs, self._total = 0, 2 * size
        tables = [
            self._table(statistics)
            for persons in sets
            for _, statistics in self._statistics(persons, [size], f"disjoint sets of {size}")
        ]
        outputs = [self._judges.outputs(quantize(self._network, table)) for table in tables]
        first, second = (dict(table.activation_scales) for table in tables)
        found = {"first": first, "second": second, "sqnr_db": between(*outputs)}
        self._journal.record(key, found)
        return found
