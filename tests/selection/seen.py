"""Persons on images that are painted for the purpose, and candidates whose traits are given."""

from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person
from quantkit.selection.candidates import Candidates
from quantkit.selection.traits import Traits

Box = tuple[float, float, float, float]


def person(image: Path, box: Box, annotation_id: int = 1) -> Person:
    return Person(annotation_id, 1, image, image.name, box, area=1.0)


def painted(path: Path, pixels: NDArray[np.uint8]) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def made_up(count: int, seed: int = 0, keypoints: bool = True) -> Traits:
    rng = np.random.default_rng(seed)
    skewed = rng.lognormal(size=(6, count))
    skewed[2] *= rng.random(count) < 0.5  # half of them are not truncated
    known = rng.integers(0, 18, count) if keypoints else np.full(count, -1)
    return Traits(skewed[0], skewed[1], known.astype(float), *skewed[2:])


def _unasked() -> NoReturn:
    message = "a stratified sample has no need of the network"
    raise AssertionError(message)


def candidates(traits: Traits) -> Candidates:
    persons = tuple(person(Path("a.png"), (0, 0, 1, 1), i) for i in range(len(traits.size)))
    return Candidates(persons, traits=lambda: traits, activations=_unasked)
