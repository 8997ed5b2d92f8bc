"""What the network is trained on: rendered persons, cropped and changed at random each time."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

import cv2
import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from quantkit.demo.people.paint import Image
from quantkit.demo.people.rotation import Array
from quantkit.demo.people.scene import Rendered, render
from quantkit.evaluation.flip import COCO_FLIP_INDICES
from quantkit.progress import Progress, silent

INPUT_SIZE: Final = 128
HEATMAP_SIZE: Final = 32
SIGMA: Final = 1.5
_PADDING: Final = 1.25
_CHUNK: Final = 32


@dataclass(frozen=True)
class Sample:
    """One person to learn from.

    Attributes:
        image: The whole picture, BGR, shape (h, w, 3); persons of one picture share it.
        keypoints: Shape (17, 3): x, y in pixels and v.
        box: x, y, width, height.
        area: Pixels of what is seen.
    """

    image: Image
    keypoints: Array
    box: tuple[float, float, float, float]
    area: float


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Attributes:
        images: RGB, shape (n, 128, 128, 3), uint8.
        heatmaps: Shape (n, 17, 32, 32).
        weights: Shape (n, 17): 0 for keypoints to be ignored, else 1.
    """

    images: Image
    heatmaps: NDArray[np.float32]
    weights: NDArray[np.float32]


def render_samples(
    first: int, count: int, *, processes: int, progress: Progress = silent
) -> list[Sample]:
    """Render pictures of the `train` stream into memory.

    Args:
        first: Index of the first picture.
        count: Number of pictures.
        processes: How many render at once.
        progress: Called after each picture.

    Returns:
        All persons that have keypoints, in the order of the pictures.
    """
    samples = []
    for done, picture in enumerate(_rendered(range(first, first + count), processes), start=1):
        samples += [
            Sample(picture.image, person.keypoints, person.box, person.area)
            for person in picture.persons
            if person.keypoints[:, 2].any()
        ]
        progress("render", done, count)
    return samples


def draw_batch(samples: list[Sample], size: int, seed: int, step: int) -> Batch:
    """Make the batch of one step: a function of its arguments alone, so that training resumes.

    Each pass over the samples has an order of its own.
    """
    chosen = _chosen(len(samples), size, seed, step)
    rng = Generator(PCG64(SeedSequence((seed, 1, step))))
    drawn = [_augmented(samples[i], rng) for i in chosen]
    points = np.stack([xyv for _, xyv in drawn])
    return Batch(np.stack([image for image, _ in drawn]), *draw_heatmaps(points))


def centered(sample: Sample) -> tuple[Image, Array]:
    """Crop one person as evaluation does.

    Returns:
        The crop (RGB, shape (128, 128, 3)) and its matrix (2, 3) from picture to crop.
    """
    matrix = _matrix(sample, zoom=1.0, degrees=0.0, shift=np.zeros(2), mirrored=False)
    return _crop(sample.image, matrix), matrix


def draw_heatmaps(points: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the heatmaps to be learned: a Gaussian at each keypoint, not rounded to a pixel.

    Args:
        points: Keypoints in pixels of the crop with v, shape (n, 17, 3).

    Returns:
        Heatmaps of shape (n, 17, 32, 32) and weights of shape (n, 17), 0 where v is 0 or where
        nothing of the Gaussian lies in the crop (as MMPose's MSRAHeatmap has them).
    """
    stride = INPUT_SIZE / HEATMAP_SIZE
    grid = np.arange(HEATMAP_SIZE)
    x, y = points[..., 0:1] / stride, points[..., 1:2] / stride
    across = np.exp(-((grid - x) ** 2) / (2 * SIGMA**2))
    down = np.exp(-((grid - y) ** 2) / (2 * SIGMA**2))
    reach = 3 * SIGMA
    inside = (np.minimum(x, y) > -reach) & (np.maximum(x, y) < HEATMAP_SIZE - 1 + reach)
    weights = ((points[..., 2:3] > 0) & inside)[..., 0]
    heatmaps = down[..., :, None] * across[..., None, :]
    return heatmaps.astype(np.float32), weights.astype(np.float32)


def _rendered(indices: range, processes: int) -> Iterator[Rendered]:
    if processes <= 1:
        yield from map(_render_train, indices)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_train, indices, chunksize=_CHUNK)


def _render_train(index: int) -> Rendered:
    cv2.setNumThreads(1)
    return render("train", index)


def _chosen(count: int, size: int, seed: int, step: int) -> list[int]:
    positions = range(step * size, (step + 1) * size)
    orders = {
        epoch: Generator(PCG64(SeedSequence((seed, 0, epoch)))).permutation(count)
        for epoch in {position // count for position in positions}
    }
    return [int(orders[position // count][position % count]) for position in positions]


def _augmented(sample: Sample, rng: Generator) -> tuple[Image, Array]:
    mirrored = bool(rng.random() < 0.5)
    matrix = _matrix(
        sample,
        zoom=float(np.exp(np.clip(rng.normal(0.0, 0.1), -0.25, 0.25))),
        degrees=rng.uniform(-20.0, 20.0) if rng.random() < 0.3 else 0.0,
        shift=np.clip(rng.normal(0.0, 0.02, 2), -0.06, 0.06),
        mirrored=mirrored,
    )
    points = sample.keypoints[list(COCO_FLIP_INDICES)] if mirrored else sample.keypoints
    moved = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    image = _recolored(_crop(sample.image, matrix), rng)
    return image, np.concatenate([moved, points[:, 2:]], axis=1)


def _matrix(sample: Sample, *, zoom: float, degrees: float, shift: Array, mirrored: bool) -> Array:
    x, y, width, height = sample.box
    side = max(width, height) * _PADDING * zoom
    center = np.array([x + width / 2, y + height / 2]) + shift * side
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]]) * INPUT_SIZE / side
    if mirrored:
        turn[:, 0] *= -1
    return np.concatenate([turn, (INPUT_SIZE / 2 - turn @ center)[:, None]], axis=1)


def _crop(image: Image, matrix: Array) -> Image:
    crop = cv2.warpAffine(image, matrix, (INPUT_SIZE, INPUT_SIZE), flags=cv2.INTER_LINEAR)
    return np.asarray(crop[:, :, ::-1], np.uint8)


def _recolored(image: Image, rng: Generator) -> Image:
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    lift = rng.uniform(-15.0, 15.0)
    table = np.clip(np.rint(np.arange(256)[:, None] * gain + lift), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table[:, None, :]), np.uint8)
