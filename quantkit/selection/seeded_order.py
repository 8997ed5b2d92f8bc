"""The order in which a seed ranks persons: the same on every machine, with every numpy."""

from collections.abc import Sequence

from quantkit.data.coco import Person
from quantkit.storage import sha256_bytes


def seeded_order(persons: Sequence[Person], seed: int) -> list[int]:
    """Rank persons by the hash of the seed and their annotation id.

    The order of the file, or persons that are added to it, do not reshuffle the rest.

    Returns:
        Indices into `persons`, the lowest hash first.
    """
    return sorted(range(len(persons)), key=lambda index: _rank(persons[index], seed))


def _rank(person: Person, seed: int) -> str:
    return sha256_bytes(f"{seed}:{person.annotation_id}".encode())
