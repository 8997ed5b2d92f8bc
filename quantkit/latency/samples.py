"""Times of several things that were run in turn, and how far they can be believed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST_CLAIM: Final = 0.03
"""Differences below this share are never claimed, however quiet the machine."""


@dataclass(frozen=True)
class Milliseconds:
    """Time of one thing.

    Attributes:
        median: In milliseconds.
        p10: The tenth percentile: what it takes when nothing disturbs it.
    """

    median: float
    p10: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Milliseconds":
        """Sum up samples.

        Example:
            >>> Milliseconds.of([0.001, 0.002, 0.003])
            Milliseconds(median=2.0, p10=1.2)
        """
        median, p10 = np.percentile(np.array(seconds) * 1e3, (50, 10))
        return cls(round(float(median), 6), round(float(p10), 6))


def in_turn(
    things: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int = 2
) -> dict[str, list[float]]:
    """Run things one after the other, round by round, so that a disturbance hits them alike.

    Each round starts with another one, so that none always follows the same.

    Args:
        things: Name to a function that runs once and returns its seconds.
        rounds: How often each is run.
        warm_up: Rounds that are not counted.

    Returns:
        Seconds of every round, by name.
    """
    names = list(things)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            seconds = things[name]()
            if number >= warm_up:
                found[name].append(seconds)
    return found


def rounds_within(
    things: Mapping[str, Callable[[], float]], seconds: float, *, least: int, most: int
) -> int:
    """Say how many rounds fit into a time; each thing is run once to tell."""
    start = time.perf_counter()
    for run in things.values():
        run()
    took = max(time.perf_counter() - start, 1e-6)
    return int(np.clip(seconds / took, least, most))


def spread(one: Milliseconds, again: Milliseconds) -> float:
    """Say how much two measurements of the same thing differ, as a share: the A/A noise.

    Example:
        >>> round(spread(Milliseconds(10.0, 9.0), Milliseconds(10.2, 9.0)), 3)
        0.02
    """
    pairs = ((one.median, again.median), (one.p10, again.p10))
    return max(abs(b / a - 1) for a, b in pairs)
