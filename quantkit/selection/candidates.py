"""What a strategy may look at when it chooses: the persons, their crops, and what the net does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from quantkit.data.coco import Person
from quantkit.errors import InputError
from quantkit.progress import Progress, silent
from quantkit.selection.activations import Activations
from quantkit.selection.traits import Traits


def _unseen() -> NoReturn:
    raise InputError("this strategy looks at the images: give the candidates with their traits")


def _not_judged(sets: Sequence[Sequence[int]]) -> NoReturn:
    del sets
    raise InputError("this strategy judges sets: give the candidates with their judge")


def _not_run() -> NoReturn:
    message = "this strategy looks at the network: give the candidates with its activations"
    raise InputError(message)


@dataclass(frozen=True)
class Candidates:
    """The persons that a calibration set is chosen from.

    What costs time is a function, called by the strategies that need it.

    Attributes:
        persons: Whom to choose from.
        traits: How each person is seen in its image; reads the images.
        activations: What the network that is quantized makes of each person; runs it.
        judge: What the table of each set, given by its indices, leaves of the network's outputs:
            the SQNR in dB of the int8 network, on persons of the pool.
        progress: Called by strategies that choose one person after the other, stage "choosing".
    """

    persons: tuple[Person, ...]
    traits: Callable[[], Traits] = _unseen
    activations: Callable[[], Activations] = _not_run
    judge: Callable[[Sequence[Sequence[int]]], Sequence[float]] = _not_judged
    progress: Progress = silent

    def take(self, indices: Sequence[int]) -> "Candidates":
        """Keep some of the persons, in the order of `indices`."""
        return Candidates(
            tuple(self.persons[index] for index in indices),
            lambda: self.traits().take(indices),
            lambda: self.activations().take(indices),
            lambda sets: self.judge([[indices[place] for place in one] for one in sets]),
            self.progress,
        )


Strategy = Callable[[Candidates, int, int], list[int]]
"""Candidates, count and seed in, ascending indices of the chosen persons out."""
