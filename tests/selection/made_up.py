"""Candidates whose traits and activations are drawn at random, skewed as real ones are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person
from quantkit.selection.activations import Activations
from quantkit.selection.candidates import Candidates, Strategy
from quantkit.selection.magnitude_bins import magnitude_counts
from tests.selection.seen import made_up, person


def activations_of(values: Sequence[Sequence[NDArray[np.float64]]]) -> Activations:
    """Describe the blobs of candidates, each given by its values."""
    blobs = len(values[0])
    absmax = np.array([[np.abs(blob).max() for blob in one] for one in values], np.float32)
    counts = np.array(
        [[magnitude_counts(blob.astype(np.float32)) for blob in one] for one in values], np.uint16
    )
    names = tuple(f"blob{k}" for k in range(blobs))
    layers = tuple((f"layer{k}",) for k in range(blobs))
    return Activations(names, layers, absmax, counts, np.arange(len(values)))


def drawn_activations(count: int, blobs: int = 5, seed: int = 0) -> Activations:
    """Draw activations of candidates that differ in scale."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.normal(0, 0.7, (count, blobs)))
    return activations_of([[rng.laplace(0, s, 400) for s in row] for row in scales])


def candidates_of(persons: Sequence[Person] | int, seed: int = 0) -> Candidates:
    """Give persons traits and activations; a number makes so many up."""
    if isinstance(persons, int):
        boxes = ((0, 0, 1, 1),) * persons
        persons = [person(Path("a.png"), box, number) for number, box in enumerate(boxes)]
    count = len(persons)
    return Candidates(
        tuple(persons),
        lambda: made_up(count, seed),
        lambda: drawn_activations(count, seed=seed),
        lambda sets: [-float(sum(one)) for one in sets],
    )


def shown(activations: Activations) -> Candidates:
    """Make up persons of whom the network makes this."""
    return replace(candidates_of(len(activations)), activations=lambda: activations)


def chosen_in_order(
    choose: Strategy, candidates: Candidates, count: int, seed: int = 0
) -> list[int]:
    """Tell in which order persons are chosen, from sets that have to lie within each other."""
    order: list[int] = []
    for size in range(1, count + 1):
        chosen = choose(candidates, size, seed)
        assert chosen == sorted(set(chosen))
        assert set(order) < set(chosen)
        assert len(chosen) == size
        order += set(chosen) - set(order)
    return order
