"""How long work tells its caller how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called after each finished unit of work; the command line draws a bar from it."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing; the default of every function that takes a `Progress`."""
