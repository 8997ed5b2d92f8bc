from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.data.preprocess import Crop, InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.decode import decode, to_image
from quantkit.evaluation.head import Decode, HeadSpec
from tests.oracles import mmpose_or_skip

Array = NDArray[np.float32]
GEOMETRIES = [((192, 256), (48, 64), 11), ((256, 256), (64, 64), 11), ((288, 384), (72, 96), 17)]


def _heatmaps(kind: str, size: tuple[int, int], generator: np.random.Generator) -> Array:
    """Heatmaps with maxima everywhere, the border and beyond it included."""
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


def _codec(name: Decode, size: Any, heatmap_size: Any, kernel: int) -> Any:
    mmpose_or_skip()
    from mmpose.codecs import MSRAHeatmap, UDPHeatmap

    if name == "udp":
        return UDPHeatmap(size, heatmap_size, blur_kernel_size=kernel)
    unbiased = name == "dark"
    return MSRAHeatmap(size, heatmap_size, 2.0, unbiased=unbiased, blur_kernel_size=kernel)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["default", "dark", "udp"])
@pytest.mark.parametrize("kind", ["clean", "net", "noise"])
@pytest.mark.parametrize(("size", "heatmap_size", "kernel"), GEOMETRIES)
def test_heatmaps_decode_as_mmposes_codecs_do(
    name: Decode, kind: str, size: tuple[int, int], heatmap_size: tuple[int, int], kernel: int
) -> None:
    codec = _codec(name, size, heatmap_size, kernel)
    head = HeadSpec(decode=name, blur_kernel_size=kernel)
    generator = np.random.default_rng(sum(size))
    for _ in range(10):
        heatmaps = _heatmaps(kind, heatmap_size, generator)
        before = heatmaps.copy()
        expected, expected_scores = codec.decode(heatmaps.copy())
        keypoints, scores = decode([heatmaps], head, InputSpec(size))
        assert np.abs(expected[0] - keypoints).max() < 1e-4
        assert np.array_equal(expected_scores[0], scores)
        assert np.array_equal(before, heatmaps)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_simcc_decodes_as_mmposes_codec_does(ratio: float) -> None:
    mmpose_or_skip()
    from mmpose.codecs import SimCCLabel

    size = (192, 256)
    generator = np.random.default_rng(3)
    codec = SimCCLabel(size, simcc_split_ratio=ratio)
    for _ in range(10):
        along_x, along_y = (
            generator.normal(size=(17, round(side * ratio))).astype(np.float32) for side in size
        )
        along_x[4] = -1
        expected, expected_scores = codec.decode(along_x.copy(), along_y.copy())
        head = HeadSpec("simcc", simcc_split_ratio=ratio)
        keypoints, scores = decode([along_x, along_y], head, InputSpec(size))
        assert np.abs(expected[0] - keypoints).max() < 1e-4
        assert np.array_equal(expected_scores[0], scores)


def test_a_known_peak_is_found_with_its_shift() -> None:
    heatmaps = np.zeros((17, 64, 48), np.float32)
    heatmaps[:, 20, 10], heatmaps[:, 20, 11], heatmaps[:, 19, 10] = 0.9, 0.5, 0.4
    keypoints, scores = decode([heatmaps], HeadSpec(), InputSpec((192, 256)))
    assert keypoints[0].tolist() == [41.0, 79.0]
    assert scores[0] == np.float32(0.9)


@pytest.mark.parametrize(("name", "tolerance"), [("dark", 1e-3), ("udp", 2e-3)])
def test_a_gaussian_is_located_below_a_pixel(name: Decode, tolerance: float) -> None:
    y, x = np.mgrid[:64, :48]
    one = np.exp(-((x - 20.3) ** 2 + (y - 30.8) ** 2) / 2 / 2.0**2)
    heatmaps = np.repeat(one[None], 17, axis=0).astype(np.float32)
    keypoints, _ = decode([heatmaps], HeadSpec(decode=name), InputSpec((192, 256)))
    stretch = np.array([191 / 47, 255 / 63]) if name == "udp" else np.array([4.0, 4.0])
    truth = np.array([20.3, 30.8]) * stretch
    if name == "udp":
        # MMPose divides by the last pixel but multiplies by the full size.
        truth = np.array([20.3, 30.8]) / [47, 63] * [192, 256]
    assert np.abs(keypoints - truth).max() < 4 * tolerance


def test_udp_on_an_empty_heatmap_is_named() -> None:
    heatmaps = np.ones((17, 64, 48), np.float32)
    heatmaps[3] = 0
    with pytest.raises(InputError, match=r"keypoint 3 has no finite position .* maximum .* is 0"):
        decode([heatmaps], HeadSpec(decode="udp"), InputSpec((192, 256)))


@pytest.mark.parametrize("name", ["default", "dark"])
def test_an_empty_heatmap_is_no_error_otherwise(name: Decode) -> None:
    heatmaps = np.zeros((17, 64, 48), np.float32)
    keypoints, scores = decode([heatmaps], HeadSpec(decode=name), InputSpec((192, 256)))
    assert np.unique(keypoints).tolist() == [-4.0]
    assert not scores.any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_counted(value: float) -> None:
    heatmaps = np.zeros((17, 4, 4), np.float32)
    heatmaps[2, 1, 1:3] = value
    with pytest.raises(InputError, match="output 0 has 2 of 272 values that are not finite"):
        decode([heatmaps], HeadSpec(), InputSpec((16, 16)))


@pytest.mark.parametrize(
    ("head", "shapes", "message"),
    [
        (HeadSpec(), [(16, 4, 4)], r"a heatmap head needs one output \(17, height, width\)"),
        (HeadSpec(), [(17, 16), (17, 16)], "a heatmap head needs"),
        (HeadSpec("simcc"), [(17, 16), (17, 16)], r"\(17, 32\) and \(17, 32\) at split ratio 2"),
        (HeadSpec("simcc"), [(17, 32)], "the network gives"),
    ],
)
def test_outputs_of_another_head_are_refused(
    head: HeadSpec, shapes: list[tuple[int, ...]], message: str
) -> None:
    outputs = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(InputError, match=message):
        decode(outputs, head, InputSpec((16, 16)))


def test_keypoints_go_back_to_where_the_crop_was_taken() -> None:
    crop = Crop(
        np.zeros((3, 1, 1), np.float32),
        np.array([100, 50], np.float32),
        np.array([48, 64], np.float32),
    )
    inside = np.array([[0.0, 0.0], [96.0, 128.0], [192.0, 256.0]], np.float32)
    placed = to_image(inside, crop, InputSpec((192, 256)))
    assert placed.tolist() == [[76.0, 18.0], [100.0, 50.0], [124.0, 82.0]]
