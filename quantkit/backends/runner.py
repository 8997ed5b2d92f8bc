"""What every backend offers, and the checks that all of them share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.data.normalise import Normalisation
from quantkit.errors import InputError, NotFinite

Tensor = NDArray[np.float32]
"""One network input (channels, height, width) or one output, both without the batch axis."""

Input = Tensor | NDArray[np.uint8]
"""One network input, normalised or, where the runner was told how to normalise, in grey levels."""

Shape = tuple[int | None, ...]
"""A tensor's shape; None where the network takes any size."""


class Session(Protocol):
    """One network, loaded by a backend's package in this very process."""

    input_shape: Shape
    """(channels, height, width) of the input."""
    outputs: tuple[str, ...]
    """Names of the outputs."""
    concurrency: int
    """How many threads may call `run` at a time."""
    run_threads: int
    """How many threads one `run` uses."""
    description: str
    """Package, version and the options that change the figures."""

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input; the outputs come without the batch axis and own their memory."""


class Runner(Protocol):
    """One network on one backend; a context manager, because native memory or a process is held."""

    name: str
    input_shape: Shape
    outputs: tuple[str, ...]
    run_threads: int
    description: str
    normalisation: Normalisation | None
    """How grey levels are normalised; None where inputs have to be normalised already."""

    def __enter__(self) -> Self:
        """Return the runner itself."""

    def __exit__(self, *error: object) -> None:
        """Free the network, whatever happened."""

    def run(self, tensor: Input) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""

    def stream(self, tensors: Iterable[Input]) -> Iterator[tuple[Tensor, ...]]:
        """Run many inputs; results come in order while later inputs are already under way."""

    def seconds(self, tensor: Input) -> float:
        """Run one input and return how long the network itself took."""


def check_input(who: str, tensor: Input, expected: Shape) -> None:
    """Refuse a tensor that does not fit the network: not every backend would notice.

    Args:
        who: The backend, as the message calls it.
        tensor: What is about to be fed.
        expected: The network's input shape (channels, height, width).

    Raises:
        InputError: The shape differs, or a value is NaN or infinite.

    Example:
        >>> check_input("backend 'ncnn'", np.zeros((3, 4, 4), np.float32), (3, None, None))
    """
    fits = len(tensor.shape) == len(expected) and all(
        size in (None, got) for size, got in zip(expected, tensor.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        message = f"{who} takes an input of shape ({wanted}), got {tensor.shape}"
        raise InputError(message)
    if tensor.dtype != np.uint8 and not np.isfinite(tensor).all():
        message = f"{who} was given an input with NaN or infinite values"
        raise InputError(message)


def check_outputs(who: str, names: Sequence[str], outputs: Sequence[Tensor]) -> None:
    """Refuse outputs that are not finite: no figure made from them means anything.

    Raises:
        NotFinite: An output holds NaN or infinite values; it is named.

    Example:
        >>> check_outputs("backend 'ncnn'", ["out0"], [np.array([1.0, np.nan], np.float32)])
        Traceback (most recent call last):
        quantkit.errors.NotFinite: backend 'ncnn' gave NaN or infinity in 1 of 2 values of 'out0'
    """
    for name, output in zip(names, outputs, strict=True):
        bad = output.size - int(np.count_nonzero(np.isfinite(output)))
        if bad:
            message = f"{who} gave NaN or infinity in {bad} of {output.size} values of '{name}'"
            raise NotFinite(message)


@dataclass(frozen=True)
class Latency:
    """How long one network run takes when nothing else is asked of the backend.

    Args:
        median_ms: Median over the repeats, in milliseconds.
        p95_ms: 95th percentile, in milliseconds.
        repeats: How many runs were timed, after the warm-up.
        threads: Threads that one run used.
    """

    median_ms: float
    p95_ms: float
    repeats: int
    threads: int


def latency(runner: Runner, tensor: Input, repeats: int = 20, *, warmup: int = 3) -> Latency:
    """Time single runs of a network, one after the other, where the network runs.

    Args:
        runner: An open runner.
        tensor: One input (channels, height, width).
        repeats: Timed runs.
        warmup: Runs before them that are not counted.
    """
    for _ in range(warmup):
        runner.seconds(tensor)
    times = [1e3 * runner.seconds(tensor) for _ in range(repeats)]
    return Latency(
        median_ms=float(np.median(times)),
        p95_ms=float(np.percentile(times, 95)),
        repeats=repeats,
        threads=runner.run_threads,
    )
