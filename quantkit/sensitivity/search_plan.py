"""What a search costs, and how it is made to fit into a time."""

import math
from dataclasses import dataclass
from typing import Final

LAYERS_SECONDS: Final = 10.0
"""The timing of layers."""
NETWORKS_SECONDS: Final = 15.0
"""The timing of whole networks."""

_FEWEST = 16
_SCORING = 0.5  # seconds of an AP with its interval
_ALONE, _ANEW = 5, 60  # forward passes that a layer takes: its error, its threshold in two forms


@dataclass(frozen=True)
class Plan:
    """How a search is made.

    Attributes:
        persons: How many judge.
        anew: Whether layers are calibrated anew where the table does not hold the bounds.
        seconds: What it takes, about, without that.
        anew_seconds: What that takes.
    """

    persons: int
    anew: bool
    seconds: float
    anew_seconds: float

    def line(self) -> str:
        """Say it.

        Example:
            >>> Plan(64, True, 30.0, 61.0).line()
            'search: 64 persons judge; about 30 s, and 61 s more if layers are calibrated anew'
        """
        more = f"{self.anew_seconds:.0f} s more if layers are calibrated anew"
        rest = f"and {more}" if self.anew else "no time to calibrate layers anew"
        return f"search: {self.persons} persons judge; about {self.seconds:.0f} s, {rest}"


def planned(*, forward: float, layers: int, persons: int, budget: float | None = None) -> Plan:
    """Say what a search costs, with fewer persons where it has to fit into a time.

    Args:
        forward: Seconds of a forward pass.
        layers: How many layers pay.
        persons: How many there are to judge.
        budget: Seconds; the least that makes sense is taken if that is more.

    Example:
        >>> planned(forward=0.01, layers=50, persons=100).persons
        100
        >>> planned(forward=1.0, layers=50, persons=100, budget=600).persons
        32
    """
    evaluations = 4 + math.ceil(math.log2(layers + 1))
    fixed = LAYERS_SECONDS + NETWORKS_SECONDS + layers * _ALONE * forward
    anew_seconds = layers * _ANEW * forward

    def seconds(count: int) -> float:
        return fixed + evaluations * (count * forward + _SCORING)

    fewest = min(_FEWEST, persons)
    if budget is None:
        return Plan(persons, True, seconds(persons), anew_seconds)
    anew = seconds(fewest) + 2 * anew_seconds <= budget
    left = budget - (anew_seconds if anew else 0)
    fitting = [n for n in range(fewest, persons + 1) if seconds(n) <= left]
    count = fitting[-1] if fitting else fewest
    return Plan(count, anew, seconds(count), anew_seconds)
