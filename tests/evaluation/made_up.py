"""Predictions that are made from labels, as good as a test wants them."""

import numpy as np

from quantkit.data.coco import PoseDataset
from quantkit.evaluation.matches import Matches
from quantkit.evaluation.predictions import Predictions
from tests.coco_folder import labels_of


def predictions_near_labels(
    dataset: PoseDataset, *, noise: float, seed: int = 0, copies: bool = False
) -> Predictions:
    """Labels with Gaussian noise, relative to each person's size, and random confidences.

    With `copies`, every second person repeats the one before it but for a pixel.
    """
    generator = np.random.default_rng(seed)
    count = len(dataset.persons)
    areas = np.array([person.area for person in dataset.persons])
    spread = noise * np.sqrt(areas)[:, None, None]
    labels = labels_of(dataset)[:, :, :2]
    keypoints = labels + generator.normal(size=(count, 17, 2)) * spread
    if copies:
        keypoints[1::2] = keypoints[:-1:2] + generator.normal(size=keypoints[1::2].shape) * 0.3
    scores = generator.uniform(-0.1, 1, (count, 17)) * generator.uniform(0.3, 1, (count, 1))
    scores[::7] = -0.5
    return Predictions(
        annotation_ids=np.array([one.annotation_id for one in dataset.persons]),
        image_ids=np.array([one.image_id for one in dataset.persons]),
        keypoints=keypoints.astype(np.float32).astype(np.float64),
        scores=scores.astype(np.float32),
        crop_areas=(areas * 2).astype(np.float32),
    )


def made_up_matches(images: int, persons: int, quality: float, seed: int) -> Matches:
    """Matches of a network that finds a share of the persons, in the same places for any seed."""
    generator = np.random.default_rng(seed)
    places = np.sort(np.random.default_rng(9).integers(0, images, persons))
    order = np.argsort(generator.random(persons))
    hits = generator.random((10, persons)) < quality * np.linspace(1, 0.3, 10)[:, None]
    return Matches(
        image_ids=np.arange(images),
        positives=np.bincount(places, minlength=images),
        images=places[order],
        hits=hits,
        misses=~hits,
    )


def predictions_of_boxes(
    dataset: PoseDataset, labelled: PoseDataset, *, noise: float, seed: int = 0
) -> Predictions:
    """For each detected box, the labels of the nearest person of its image with noise, or noise."""
    generator = np.random.default_rng(seed)
    labels = labels_of(labelled)[:, :, :2]
    keypoints = generator.uniform(0, 150, (len(dataset.persons), 17, 2))
    for k, person in enumerate(dataset.persons):
        near = [
            (float(np.abs(np.subtract(one.box, person.box)).sum()), j)
            for j, one in enumerate(labelled.persons)
            if one.image_id == person.image_id
        ]
        if near and min(near)[0] < 60:
            spread = noise * np.sqrt(person.area)
            keypoints[k] = labels[min(near)[1]] + generator.normal(size=(17, 2)) * spread
    return Predictions(
        annotation_ids=np.array([one.annotation_id for one in dataset.persons]),
        image_ids=np.array([one.image_id for one in dataset.persons]),
        keypoints=keypoints.astype(np.float32).astype(np.float64),
        scores=generator.uniform(0, 1, (len(dataset.persons), 17)).astype(np.float32),
        crop_areas=np.array([one.area * 2 for one in dataset.persons], np.float32),
    )
