"""Persons drawn at random, the same ones on every machine and with every version of numpy."""

from collections.abc import Sequence

from quantkit.data.coco import Person
from quantkit.storage import sha256_bytes


def choose(persons: Sequence[Person], count: int, seed: int) -> list[int]:
    """Draw persons without replacement, each as likely as any other.

    Every person gets the hash of the seed and its annotation id; the lowest hashes win. So a
    smaller set lies within a larger one of the same seed, and the order of the file, or persons
    that are added to it, do not reshuffle the rest.

    Returns:
        Indices into `persons`, ascending.
    """
    order = sorted(range(len(persons)), key=lambda index: _rank(persons[index], seed))
    return sorted(order[:count])


def _rank(person: Person, seed: int) -> str:
    return sha256_bytes(f"{seed}:{person.annotation_id}".encode())
