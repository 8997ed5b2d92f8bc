"""The outputs of a pose head become keypoints, first in input and then in image pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.data.preprocess import Crop, InputSpec
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.dark import refine_dark, refine_udp
from quantkit.evaluation.flip import average_heatmaps, average_simcc
from quantkit.evaluation.head import Decode, HeadSpec
from quantkit.evaluation.heatmap import maxima, quarter_shift, to_input_pixels
from quantkit.evaluation.simcc import refine_simcc, simcc_maxima
from quantkit.evaluation.udp_combined import udp_combined_maxima

Floats = NDArray[np.floating[Any]]
Array = NDArray[np.float32]
Outputs = Sequence[Array]


def decode(
    outputs: Outputs, head: HeadSpec, spec: InputSpec, mirrored: Outputs | None = None
) -> tuple[Floats, Array]:
    """Read keypoints out of one person's network outputs.

    Args:
        outputs: The network's outputs without the batch axis.
        head: How they are read.
        spec: The network's input.
        mirrored: The outputs for the mirrored crop, to average with (the flip test).

    Returns:
        x, y in input pixels, shape (keypoints, 2), and the confidences, shape (keypoints,).
        A head of type `none` has none of them.

    Raises:
        InputError: Number or shape of the outputs does not fit the head.
        NotFinite: An output is not finite, or a keypoint has no finite position (`udp`, and `dark`
            of a simcc head, on zeros).
    """
    for one in (outputs,) if mirrored is None else (outputs, mirrored):
        if wrong := misfit(one, head, spec):
            count = _keypoints(one, head, spec)
            advice = f": write [keypoints] count = {count} in quantkit.toml" if count else ""
            raise InputError(wrong + advice)
        _check_finite(one)
    if head.type == "none":
        return np.zeros((0, 2)), np.zeros(0, np.float32)
    if mirrored is not None:
        outputs = _average(outputs, mirrored, head)
    if head.type == "simcc":
        keypoints, scores = _simcc(outputs, head)
    else:
        keypoints, scores = _HEATMAP_DECODERS[head.decode](outputs[0], head, spec)
    _check_positions(keypoints, scores, head)
    return keypoints, scores


def misfit(outputs: Outputs, head: HeadSpec, spec: InputSpec) -> str | None:
    """Say how the number or the shapes of one person's outputs do not fit a head.

    Returns:
        None where they do.
    """
    if head.type == "none" or _keypoints(outputs, head, spec) == head.keypoints:
        return None
    if head.type == "heatmap":
        expected = f"one output ({head.maps}, height, width)"
        if head.decode == "udp_combined":
            expected += " with decode 'udp_combined'"
    else:
        x, y = _bins(head, spec)
        expected = (
            f"outputs ({head.keypoints}, {x}) and ({head.keypoints}, {y})"
            f" at split ratio {head.simcc_split_ratio:g}"
        )
    shapes = [output.shape for output in outputs]
    return f"a {head.type} head needs {expected}, the network gives {shapes}"


def to_image(keypoints: Floats, crop: Crop, spec: InputSpec) -> Floats:
    """Map keypoints from the crop back to the image, as MMPose's TopdownPoseEstimator does.

    Args:
        keypoints: x, y in input pixels, shape (keypoints, 2).
        crop: The person that the network saw.
        spec: The network's input.

    Returns:
        x, y in image pixels, same shape and type.
    """
    size = np.array(spec.size)
    corner = np.float32(0.5) * crop.scale
    placed: Floats = (keypoints / size * crop.scale + crop.center - corner).astype(keypoints.dtype)
    return placed


def _average(outputs: Outputs, mirrored: Outputs, head: HeadSpec) -> Outputs:
    if head.type == "simcc":
        return average_simcc(outputs, mirrored)
    combined = head.decode == "udp_combined"
    shift = head.shift_heatmap
    return (average_heatmaps(outputs[0], mirrored[0], combined=combined, shift=shift),)


def _simcc(outputs: Outputs, head: HeadSpec) -> tuple[Floats, Array]:
    bins, scores = simcc_maxima(*outputs)
    if head.decode == "dark":
        for axis, sigma in enumerate(head.simcc_sigma):
            bins[:, axis] = refine_simcc(bins[:, axis], outputs[axis], sigma)
    return bins / np.float32(head.simcc_split_ratio), scores


def _default(heatmaps: Array, head: HeadSpec, spec: InputSpec) -> tuple[Floats, Array]:
    del head
    positions, scores = maxima(heatmaps)
    return to_input_pixels(quarter_shift(positions, heatmaps), heatmaps, spec.size), scores


def _dark(heatmaps: Array, head: HeadSpec, spec: InputSpec) -> tuple[Floats, Array]:
    positions, scores = maxima(heatmaps)
    refined = refine_dark(positions, heatmaps, head.blur_kernel_size)
    return to_input_pixels(refined, heatmaps, spec.size), scores


def _udp(heatmaps: Array, head: HeadSpec, spec: InputSpec) -> tuple[Floats, Array]:
    positions, scores = maxima(heatmaps)
    refined = refine_udp(positions, heatmaps, head.blur_kernel_size)
    return _from_last_pixel(refined, heatmaps, spec), scores


def _udp_combined(heatmaps: Array, head: HeadSpec, spec: InputSpec) -> tuple[Floats, Array]:
    moved, scores = udp_combined_maxima(heatmaps, head.blur_kernel_size, head.radius_factor)
    return _from_last_pixel(moved, heatmaps, spec), scores


_HEATMAP_DECODERS: Final[
    Mapping[Decode, Callable[[Array, HeadSpec, InputSpec], tuple[Floats, Array]]]
] = {"default": _default, "dark": _dark, "udp": _udp, "udp_combined": _udp_combined}


def _from_last_pixel(positions: Array, heatmaps: Array, spec: InputSpec) -> Floats:
    # MMPose divides by the last pixel but multiplies by the full size.
    last = np.array(heatmaps.shape[:0:-1]) - 1
    scaled: Floats = positions / last * np.array(spec.size)
    return scaled


def _keypoints(outputs: Outputs, head: HeadSpec, spec: InputSpec) -> int:
    """Count the keypoints that outputs of these shapes have; 0 where the head cannot read them."""
    shapes = [output.shape for output in outputs]
    if head.type == "heatmap":
        if len(shapes) != 1 or len(shapes[0]) != 3:
            return 0
        count, rest = divmod(shapes[0][0] * head.keypoints, head.maps)
        return 0 if rest else count
    if [shape[1:] for shape in shapes] != [(bins,) for bins in _bins(head, spec)]:
        return 0
    return shapes[0][0] if shapes[0][0] == shapes[1][0] else 0


def _bins(head: HeadSpec, spec: InputSpec) -> list[int]:
    return [round(side * head.simcc_split_ratio) for side in spec.size]


def _check_finite(outputs: Outputs) -> None:
    for number, output in enumerate(outputs):
        bad = output.size - int(np.isfinite(output).sum())
        if bad:
            message = f"output {number} has {bad} of {output.size} values that are not finite"
            raise NotFinite(message)


def _check_positions(keypoints: Floats, scores: Array, head: HeadSpec) -> None:
    bad = np.flatnonzero(~np.isfinite(keypoints).all(axis=1))
    if bad.size:
        number = int(bad[0])
        read = "heatmap" if head.type == "heatmap" else "bins"
        message = (
            f"keypoint {number} has no finite position under decode '{head.decode}': "
            f"the maximum of its {read} is {scores[number]:g}"
        )
        raise NotFinite(message)
