"""MMPose's codecs, and made-up network outputs for them to decode."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.evaluation.head import HeadSpec
from tests.oracles import mmpose_or_skip

Array = NDArray[np.float32]


def codec_of(head: HeadSpec, size: tuple[int, int], heatmap_size: tuple[int, int]) -> Any:
    """Build MMPose's codec for a head, or skip the test."""
    mmpose_or_skip()
    from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap

    kernel = head.blur_kernel_size
    if head.type == "simcc":
        return SimCCLabel(
            size,
            sigma=head.simcc_sigma,
            simcc_split_ratio=head.simcc_split_ratio,
            use_dark=head.decode == "dark",
        )
    if head.decode == "udp":
        return UDPHeatmap(size, heatmap_size, blur_kernel_size=kernel)
    if head.decode == "udp_combined":
        return UDPHeatmap(
            size,
            heatmap_size,
            heatmap_type="combined",
            radius_factor=head.radius_factor,
            blur_kernel_size=kernel,
        )
    unbiased = head.decode == "dark"
    return MSRAHeatmap(size, heatmap_size, 2.0, unbiased=unbiased, blur_kernel_size=kernel)


def mmpose_keypoints(codec: Any, outputs: list[Array]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Decode one person's outputs by a codec.

    SimCCLabel with `use_dark` takes a batch only, so vectors are given as one of one.
    """
    is_simcc = len(outputs) == 2
    copies = [output[None].copy() if is_simcc else output.copy() for output in outputs]
    keypoints, scores = codec.decode(*copies)
    return keypoints[0], scores[0]


def made_outputs(
    kind: str, head: HeadSpec, size: tuple[int, int], generator: np.random.Generator
) -> list[Array]:
    """Make outputs with maxima everywhere, at the border and beyond it included.

    Args:
        kind: `clean` (Gaussians), `net` (Gaussians with some noise) or `noise`.
        head: What kind of outputs.
        size: Width and height of the network's input.
        generator: Source of the places.
    """
    if head.type == "simcc":
        counts = [round(side * head.simcc_split_ratio) for side in size]
        return [made_vectors(kind, count, generator) for count in counts]
    heatmap_size = (size[0] // 4, size[1] // 4)
    classes = made_heatmaps(kind, heatmap_size, generator)
    if head.decode != "udp_combined":
        return [classes]
    offsets = generator.normal(size=(2, *classes.shape)).astype(np.float32)
    return [np.stack((classes, *offsets), axis=1).reshape(-1, *classes.shape[1:])]


def made_heatmaps(kind: str, size: tuple[int, int], generator: np.random.Generator) -> Array:
    """Make 17 heatmaps; number 5 is negative everywhere unless it is of noise."""
    width, height = size
    if kind == "noise":
        return generator.normal(size=(17, height, width)).astype(np.float32)
    centers = generator.uniform((-3, -3), (width + 2, height + 2), (17, 2))[:, :, None, None]
    widths = generator.uniform(1, 3, (17, 1, 1))
    heights = generator.uniform(0.05, 1.2, (17, 1, 1))
    y, x = np.mgrid[:height, :width]
    distances = (x - centers[:, 0]) ** 2 + (y - centers[:, 1]) ** 2
    maps = np.exp(-distances / 2 / widths**2) * heights
    if kind == "net":
        maps += generator.normal(size=maps.shape) * 0.02
    maps[5] = -0.1 - np.abs(maps[5])
    return np.asarray(maps, np.float32)


def made_vectors(kind: str, bins: int, generator: np.random.Generator) -> Array:
    """Make 17 vectors; number 5 is negative everywhere unless it is of noise."""
    if kind == "noise":
        return generator.normal(size=(17, bins)).astype(np.float32)
    centers = generator.uniform(-8, bins + 8, (17, 1))
    heights = generator.uniform(0.02, 1.2, (17, 1))
    vectors = np.exp(-((np.arange(bins) - centers) ** 2) / 2 / 6.0**2) * heights
    if kind == "net":
        vectors += generator.normal(size=vectors.shape) * 0.005
    vectors[5] = -0.1 - np.abs(vectors[5])
    return np.asarray(vectors, np.float32)
