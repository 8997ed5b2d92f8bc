"""Of the sets that other strategies propose, the one whose table is measured to be best."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from quantkit.progress import silent
from quantkit.selection import coverage, herding, influence, k_center, random
from quantkit.selection.candidates import Candidates, Strategy

_SEEDED: Final[Mapping[str, tuple[Strategy, int]]] = {
    "coverage": (coverage.choose, 1),
    "influence": (influence.choose, 1),
    "herding": (herding.choose, 1),
    "k_center": (k_center.choose, 2),
    "random": (random.choose, 4),
}
"""Strategies, and by how many seeds each of them proposes."""

_MIXED: Final = (4, 2)
"""Of so many persons one is chosen by coverage, the others at random."""


def choose(candidates: Candidates, count: int, seed: int) -> list[int]:
    """Choose the set with the best table: which kind of crops that takes depends on the network.

    Extreme crops widen the thresholds of KL, which helps some networks and costs others. So every
    strategy that is good for one of them proposes sets, and `Candidates.judge` calibrates with
    each; the first of equals is taken.

    Returns:
        Indices into `candidates.persons`, ascending.
    """
    sets = list(proposals(candidates, count, seed).values())
    found = candidates.judge(sets)
    return sets[max(range(len(sets)), key=lambda place: found[place])]


def proposals(candidates: Candidates, count: int, seed: int) -> dict[str, list[int]]:
    """Let strategies choose, and mix the extreme with the ordinary.

    Returns:
        Sets by a name that says how they came about, each once.
    """
    quiet = replace(candidates, progress=silent)
    found = {
        f"{name}, seed {seed + number}": strategy(quiet, count, seed + number)
        for name, (strategy, seeds) in _SEEDED.items()
        for number in range(seeds)
    }
    for part in _MIXED:
        found[f"1/{part} coverage"] = _mixed(quiet, count, seed, count // part)
    once: dict[tuple[int, ...], str] = {}
    for name, indices in found.items():
        once.setdefault(tuple(indices), name)
    return {name: list(indices) for indices, name in once.items()}


def _mixed(candidates: Candidates, count: int, seed: int, extreme: int) -> list[int]:
    first = coverage.choose(candidates, extreme, seed)
    taken = set(first)
    others = [index for index in range(len(candidates.persons)) if index not in taken]
    rest = random.choose(candidates.take(others), count - extreme, seed)
    return sorted([*first, *(others[index] for index in rest)])
