"""The outputs of a pose head become keypoints, first in input and then in image pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco_file import KEYPOINTS
from quantkit.data.preprocess import Crop, InputSpec
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.dark import refine_dark, refine_udp
from quantkit.evaluation.heatmap import maxima, quarter_shift, to_input_pixels
from quantkit.evaluation.simcc import simcc_maxima

HeadType = Literal["heatmap", "simcc"]
Decode = Literal["default", "dark", "udp"]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class HeadSpec:
    """How the outputs of a network are read.

    Attributes:
        type: `heatmap`: one output (17, height, width); `simcc`: two, (17, bins along x) and
            (17, bins along y).
        decode: How a heatmap's maximum is refined: `default` (a quarter pixel), `dark` or `udp`.
        simcc_split_ratio: Bins per input pixel of a simcc head.
        blur_kernel_size: Gaussian of `dark` and `udp` in heatmap pixels: 11 for a heatmap that
            was trained with sigma 2, 17 for sigma 3.
    """

    type: HeadType = "heatmap"
    decode: Decode = "default"
    simcc_split_ratio: float = 2.0
    blur_kernel_size: int = 11


def decode(
    outputs: Sequence[NDArray[np.float32]], head: HeadSpec, spec: InputSpec
) -> tuple[Floats, NDArray[np.float32]]:
    """Read keypoints out of one person's network outputs.

    Args:
        outputs: The network's outputs without the batch axis.
        head: How they are read.
        spec: The network's input.

    Returns:
        x, y in input pixels, shape (17, 2), and the confidences, shape (17,).

    Raises:
        InputError: Number or shape of the outputs does not fit the head.
        NotFinite: An output is not finite, or a keypoint has no finite position (`udp` on a heatmap
            of zeros).
    """
    _check_shapes(outputs, head, spec)
    _check_finite(outputs)
    if head.type == "simcc":
        return simcc_maxima(outputs[0], outputs[1], head.simcc_split_ratio)
    (heatmaps,) = outputs
    positions, scores = maxima(heatmaps)
    if head.decode == "default":
        keypoints = to_input_pixels(quarter_shift(positions, heatmaps), heatmaps, spec.size)
        return keypoints, scores
    if head.decode == "dark":
        refined = refine_dark(positions, heatmaps, head.blur_kernel_size)
        return to_input_pixels(refined, heatmaps, spec.size), scores
    refined = refine_udp(positions, heatmaps, head.blur_kernel_size)
    _check_positions(refined, scores)
    last = np.array(heatmaps.shape[:0:-1]) - 1
    return refined / last * np.array(spec.size), scores


def to_image(keypoints: Floats, crop: Crop, spec: InputSpec) -> Floats:
    """Map keypoints from the crop back to the image, as MMPose's TopdownPoseEstimator does.

    Args:
        keypoints: x, y in input pixels, shape (17, 2).
        crop: The person that the network saw.
        spec: The network's input.

    Returns:
        x, y in image pixels, same shape and type.
    """
    size = np.array(spec.size)
    corner = np.float32(0.5) * crop.scale
    placed: Floats = (keypoints / size * crop.scale + crop.center - corner).astype(keypoints.dtype)
    return placed


def _check_shapes(outputs: Sequence[NDArray[np.float32]], head: HeadSpec, spec: InputSpec) -> None:
    shapes = [output.shape for output in outputs]
    if head.type == "heatmap":
        if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] == KEYPOINTS:
            return
        expected = f"one output ({KEYPOINTS}, height, width)"
    else:
        bins = [round(side * head.simcc_split_ratio) for side in spec.size]
        if shapes == [(KEYPOINTS, count) for count in bins]:
            return
        expected = (
            f"outputs ({KEYPOINTS}, {bins[0]}) and ({KEYPOINTS}, {bins[1]})"
            f" at split ratio {head.simcc_split_ratio:g}"
        )
    message = f"a {head.type} head needs {expected}, the network gives {shapes}"
    raise InputError(message)


def _check_finite(outputs: Sequence[NDArray[np.float32]]) -> None:
    for number, output in enumerate(outputs):
        bad = output.size - int(np.isfinite(output).sum())
        if bad:
            message = f"output {number} has {bad} of {output.size} values that are not finite"
            raise NotFinite(message)


def _check_positions(positions: Floats, scores: NDArray[np.float32]) -> None:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if bad.size:
        number = int(bad[0])
        message = (
            f"keypoint {number} has no finite position under decode 'udp': "
            f"the maximum of its heatmap is {scores[number]:g}"
        )
        raise NotFinite(message)
