"""The first persons of the annotation file: what most tools do."""

from collections.abc import Sequence

from quantkit.data.coco import Person


def choose(persons: Sequence[Person], count: int, seed: int) -> list[int]:
    """Choose the first persons, in the order of the file; `seed` is of no use.

    Example:
        >>> choose([], 0, seed=0)
        []
    """
    del seed
    return list(range(min(count, len(persons))))
