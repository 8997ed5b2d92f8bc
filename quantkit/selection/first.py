"""The first persons of the annotation file: what most tools do."""

from quantkit.selection.candidates import Candidates


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose the first persons, in the order of the file; `seed` is of no use.

    Example:
        >>> choose(Candidates(()), 0, seed=0)
        []
    """
    del seed
    return list(range(min(count, len(candidates.persons))))
