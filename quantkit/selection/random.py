"""Persons drawn at random, the same ones on every machine and with every version of numpy."""

from quantkit.selection.candidates import Candidates
from quantkit.selection.seeded_order import seeded_order


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Draw persons without replacement, each as likely as any other.

    They are the first of `seeded_order`: a smaller set lies within a larger one of the same seed.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    return sorted(seeded_order(candidates.persons, seed)[:count])
