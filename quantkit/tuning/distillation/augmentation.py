"""Batches of training crops, each turned, scaled, shifted and flipped a little.

The teacher is run on the changed crops, so whatever is done to them, what is to be learned is
right; the crops need only look like those the network will see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.tuning.distillation.layer_call import Tensor

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How far a crop is changed at most.

    Attributes:
        flip: Probability that left and right are exchanged.
        turn: Degrees in either direction.
        scale: Factor minus one, in either direction.
        shift: Share of the width and of the height.
    """

    flip: float = 0.5
    turn: float = 10.0
    scale: float = 0.15
    shift: float = 0.06


def batches(
    torch: Any, crops: Sequence[Array], size: int, augmentation: Augmentation, seed: int
) -> Iterator[Tensor]:
    """Yield batches without end; every crop comes once before one comes again.

    Args:
        torch: The module.
        crops: Shape (channels, height, width).
        size: Crops to a batch.
        augmentation: What is done to them.
        seed: Of the order and the changes.
    """
    draw = np.random.default_rng(seed)
    order: list[int] = []
    while True:
        while len(order) < size:
            order += draw.permutation(len(crops)).tolist()
        chosen, order = order[:size], order[size:]
        batch = torch.from_numpy(np.stack([crops[number] for number in chosen]))
        yield _changed(torch, batch, augmentation, draw)


def _changed(
    torch: Any, batch: Tensor, augmentation: Augmentation, draw: np.random.Generator
) -> Tensor:
    size = batch.shape[2:]
    matrices = np.stack([_matrix(augmentation, size[0] / size[1], draw) for _ in range(len(batch))])
    functional = torch.nn.functional
    grid = functional.affine_grid(
        torch.from_numpy(matrices.astype(np.float32)), list(batch.shape), align_corners=False
    )
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _matrix(
    augmentation: Augmentation, aspect: float, draw: np.random.Generator
) -> NDArray[np.float64]:
    """From the changed crop to the crop, both with axes that run from -1 to 1."""
    mirror = -1.0 if draw.random() < augmentation.flip else 1.0
    angle = np.radians(augmentation.turn * draw.uniform(-1, 1))
    scale = 1 + augmentation.scale * draw.uniform(-1, 1)
    shift = 2 * augmentation.shift * draw.uniform(-1, 1, 2)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    # The axes differ in length, so that a turn must know how tall a crop is for its width.
    return np.array(
        [
            [mirror * cosine, -sine * aspect * mirror, shift[0]],
            [sine / aspect, cosine, shift[1]],
        ]
    )
