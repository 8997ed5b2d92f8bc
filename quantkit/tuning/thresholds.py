"""Thresholds chosen by the error of the network's final outputs, in the real int8 arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.errors import InputError
from quantkit.tuning.output_error import OutputError, decibels
from quantkit.tuning.suffix import Array
from quantkit.tuning.thresholds_alone import errors_alone, least
from quantkit.tuning.thresholds_candidates import candidates
from quantkit.tuning.thresholds_setting import Setting, Thresholds, thresholds_of, with_thresholds
from quantkit.tuning.thresholds_together import descend


@dataclass(frozen=True)
class ThresholdSearch:
    """Thresholds and what they were chosen by.

    Attributes:
        thresholds: By layer, the value that becomes 127: those of the last pass that helped.
        passes: Name of each pass, from the table as given on, to the SQNR of the outputs in dB on
            the crops that judged and on the crops held out (None without such).
        alone: The better of the given thresholds and the first pass's. Choose layers for fp32 by
            these and search on from there: after the second pass the errors of layers make up for
            each other, and no layer in fp32 seems to help.
    """

    thresholds: Thresholds
    passes: dict[str, tuple[float, float | None]]
    alone: Thresholds


def best_thresholds(
    setting: Setting,
    statistics: ActivationStatistics,
    *,
    held_out: Sequence[Array] = (),
    rounds: int = 1,
    alone: bool = True,
) -> ThresholdSearch:
    """Choose the threshold of each layer's input by what it does to the network's outputs.

    First each layer alone is put in int8 and takes the candidate with the least error. Then all
    layers are in int8 and each threshold in turn is moved while the error falls. A pass whose
    thresholds are worse than those before, on all crops together, is dropped.

    Args:
        setting: The network, the table that gives layers and weight scales, and the crops.
        statistics: Of the layers' inputs; candidates are made from them.
        held_out: Other training crops, which tell whether the choice holds beyond its crops.
        rounds: How often the second pass is made.
        alone: Make the first pass; without it the second one starts from the table as it is.

    Returns:
        The thresholds of all layers of the table.

    Raises:
        InputError: A layer of the table has no statistics, or a network cannot be run.
    """
    found = {name: _statistics_of(name, statistics) for name in setting.table.layers}
    judge = _Judge(setting, held_out)
    judge.offer("as given", thresholds_of(setting.table))
    if alone:
        tried = {
            name: (one.absmax,) if setting.reads_input(name) else candidates(one)
            for name, one in found.items()
        }
        judge.offer("each alone", least(setting, tried, errors_alone(setting, tried)))
    start = judge.best
    largest = {name: one.absmax for name, one in found.items()}
    for number in range(rounds):
        judge.offer(f"together {number + 1}", descend(setting, judge.best, largest))
    return ThresholdSearch(judge.best, judge.passes, start)


class _Judge:
    """Keeps the thresholds with the least error over the crops and those held out."""

    def __init__(self, setting: Setting, held_out: Sequence[Array]) -> None:
        self._setting = setting
        self._held_out = held_out
        self._error = OutputError(setting.run(setting.network, held_out)) if held_out else None
        self._least = float("inf")
        self.best: Thresholds = {}
        self.passes: dict[str, tuple[float, float | None]] = {}

    def offer(self, name: str, thresholds: Thresholds) -> None:
        network = self._setting.quantized(with_thresholds(self._setting.table, thresholds))
        error = sum(self._setting.error.all(self._setting.run(network)))
        other = None
        if self._error is not None:
            other = sum(self._error.all(self._setting.run(network, self._held_out)))
        self.passes[name] = (decibels(error), None if other is None else decibels(other))
        judged = error if other is None else other
        if judged < self._least or not self.best:
            self._least, self.best = judged, thresholds


def _statistics_of(name: str, statistics: ActivationStatistics) -> BlobStatistics:
    if name not in statistics or statistics[name].absmax == 0:
        message = f"layer '{name}' of the table has no statistics; collect them again"
        raise InputError(message)
    return statistics[name]
