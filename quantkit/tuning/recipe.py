"""What the method `best` is asked for, what it works on, and what it gives."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.journal import Journal
from quantkit.model.network import Network
from quantkit.progress import Feedback
from quantkit.tuning.sqnr import decibels_json, decibels_text
from quantkit.tuning.suffix import Array

_SILENT = Feedback()


@dataclass(frozen=True)
class Recipe:
    """Which steps are taken; each can be left out alone.

    Attributes:
        equalize: Scale channels so that those of a blob are alike.
        search: Choose thresholds by the network's outputs; else they are KL's.
        rounding: Choose integers by what their layer gives; else the nearest.
        bias: Correct biases for the mean of what rounding weights adds.
        learning: Steps of learning integers, biases and thresholds from the fp32 outputs, which
            needs torch; 0 for none.
        fp32_share: Share of the multiply-accumulates that may stay in fp32.
        forms: Give layers' inputs scales of their channels and zero points instead of thresholds
            chosen by the outputs and of learning, which needs torch.
    """

    equalize: bool = True
    search: bool = True
    rounding: bool = True
    bias: bool = True
    learning: int = 300
    fp32_share: float = 0.0
    forms: bool = False

    def to_json(self) -> dict[str, Any]:
        """Name the steps, for the provenance of a table."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Material:
    """What the recipe works on.

    Attributes:
        network: The fp32 network.
        input: Its input blob.
        outputs: Its output blobs.
        crops: Called for a stream of all calibration crops, of shape (channels, height, width).
        total: How many there are.
        search: Some of them, by which choices are made.
        held_out: Others, by which it is judged whether a step helps.
        learned: Those that are learned from, none of them held out.
        kept_fp32: Layers that stay in fp32 because that was asked for.
        threads: How many crops are run at a time.
        budget_s: Seconds that it may take; None for as long as it takes.
        journal: Keeps what is found of each layer, so that a killed run goes on.
        feedback: Told how it goes.
    """

    network: Network
    input: str
    outputs: tuple[str, ...]
    crops: Callable[[], Iterable[Array]]
    total: int
    search: Sequence[Array]
    held_out: Sequence[Array]
    learned: Sequence[Array] = ()
    kept_fp32: frozenset[str] = frozenset()
    threads: int = 2
    budget_s: float | None = None
    journal: Journal | None = None
    feedback: Feedback = field(default=_SILENT)


@dataclass(frozen=True)
class Step:
    """One step and what it did to the SQNR of the worst output, on crops that were held out.

    Attributes:
        name: What was done.
        kept: Whether the result has it.
        before_db: SQNR without it.
        after_db: SQNR with it; None where it could not be done.
        seconds: What it took.
        detail: What is to be known of it.
        outputs: SQNR with it of each output by name, where there are several.
    """

    name: str
    kept: bool
    before_db: float | None
    after_db: float | None
    seconds: float
    detail: str = ""
    outputs: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of a table's provenance, without the time, which varies."""
        return {
            "name": self.name,
            "kept": self.kept,
            "before_db": None if self.before_db is None else decibels_json(self.before_db, 2),
            "after_db": None if self.after_db is None else decibels_json(self.after_db, 2),
            "detail": self.detail,
            "outputs": {name: decibels_json(db, 2) for name, db in self.outputs.items()},
        }

    def line(self) -> str:
        """Say it in a line.

        Example:
            >>> Step("equalization", True, 9.0, 14.84, 21.0).line()
            'equalization: 9.0 -> 14.8 dB, kept (21 s)'
            >>> Step("kl", True, None, 9.0, 1.0, outputs={"x": 9.0, "y": 30.0}).line()
            'kl: 9.0 dB (x 9.0 dB, y 30.0 dB), kept (1 s)'
        """
        change = "" if self.after_db is None else decibels_text(self.after_db)
        if change and self.before_db is not None:
            change = f"{decibels_text(self.before_db).removesuffix(' dB')} -> {change}"
        if self.outputs:
            each = (f"{name} {decibels_text(db)}" for name, db in self.outputs.items())
            change += f" ({', '.join(each)})"
        parts = [change, "kept" if self.kept else "dropped", self.detail]
        return f"{self.name}: {', '.join(filter(None, parts))} ({self.seconds:.0f} s)"


@dataclass(frozen=True)
class Tuned:
    """A table, and the fp32 network that it belongs to.

    Attributes:
        network: An ordinary fp32 network; the int8 network is made from it and the table.
        calibration: The table and what is to be known of it.
        statistics: Of the network's activations.
        steps: What was done, in order.
        left_out: What was not done, to fit the time that it might take.
    """

    network: Network
    calibration: Calibration
    statistics: ActivationStatistics
    steps: tuple[Step, ...]
    left_out: tuple[str, ...] = ()

    @property
    def held_out_db(self) -> float | None:
        """SQNR of the worst int8 output on the crops that were held out."""
        measured = [step.after_db for step in self.steps if step.kept and step.after_db is not None]
        return measured[-1] if measured else None
