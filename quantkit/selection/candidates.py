"""What a strategy may look at when it chooses: the persons, their crops, and what the net does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quantkit.data.coco import Person

if TYPE_CHECKING:
    from quantkit.selection.activations import Activations
    from quantkit.selection.traits import Traits


@dataclass(frozen=True)
class Candidates:
    """The persons that a calibration set is chosen from.

    What costs time is a function, called by the strategies that need it.

    Attributes:
        persons: Whom to choose from.
        traits: How each person is seen in its image; reads the images.
        activations: What the network that is quantized makes of each person; runs it.
        keypoints: Number of visible keypoints by annotation id, where the file has any.
    """

    persons: tuple[Person, ...]
    traits: Callable[[], "Traits"]
    activations: Callable[[], "Activations"]
    keypoints: Mapping[int, int] = field(default_factory=dict)


Strategy = Callable[[Candidates, int, int], list[int]]
"""Candidates, count and seed in, ascending indices of the chosen persons out."""
