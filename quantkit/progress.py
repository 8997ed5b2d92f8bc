"""How long work tells its caller how far it is, and what it decided."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Called after each finished unit of work; the command line draws a bar from it."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing; the default of every function that takes a `Progress`."""


def unheard(note: str) -> None:
    """Drop a note; the default of every function that takes notes."""


@dataclass(frozen=True)
class Feedback:
    """Where a whole step reports to.

    Attributes:
        progress: Takes the finished units of work.
        note: Takes one line about what is reused, left out, or going to cost time.

    Example:
        >>> Feedback(note=print).note("about 20 s")
        about 20 s
    """

    progress: Progress = silent
    note: Callable[[str], None] = unheard
