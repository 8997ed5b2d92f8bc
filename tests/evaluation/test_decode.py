from typing import Any, get_args

import numpy as np
import pytest

from quantkit.data.preprocess import Crop, InputSpec
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.decode import decode, to_image
from quantkit.evaluation.head import Decode, HeadSpec
from tests.evaluation.codecs import Array, codec_of, made_outputs, mmpose_keypoints

GEOMETRIES = [((192, 256), (48, 64), 11), ((256, 256), (64, 64), 11), ((288, 384), (72, 96), 17)]


def assert_decoded_alike(
    outputs: list[Array], codec: Any, head: HeadSpec, size: tuple[int, int]
) -> None:
    before = [output.copy() for output in outputs]
    expected, expected_scores = mmpose_keypoints(codec, outputs)
    keypoints, scores = decode(outputs, head, InputSpec(size))
    assert np.abs(expected - keypoints).max() < 1e-4
    assert np.array_equal(expected_scores, scores)
    assert all(map(np.array_equal, before, outputs))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", get_args(Decode))
@pytest.mark.parametrize("kind", ["clean", "net", "noise"])
@pytest.mark.parametrize(("size", "heatmap_size", "kernel"), GEOMETRIES)
def test_heatmaps_decode_as_mmposes_codecs_do(
    name: Decode, kind: str, size: tuple[int, int], heatmap_size: tuple[int, int], kernel: int
) -> None:
    head = HeadSpec(decode=name, blur_kernel_size=kernel, radius_factor=0.06)
    codec = codec_of(head, size, heatmap_size)
    generator = np.random.default_rng(sum(size))
    for _ in range(10):
        assert_decoded_alike(made_outputs(kind, head, size, generator), codec, head, size)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["default", "dark"])
@pytest.mark.parametrize("kind", ["clean", "net", "noise"])
@pytest.mark.parametrize(
    ("ratio", "sigma"), [(1.0, (2.0, 2.0)), (1.5, (0.8, 3.0)), (2.0, (4.9, 5.66)), (2.0, (6, 6))]
)
def test_simcc_decodes_as_mmposes_codec_does(
    name: Decode, kind: str, ratio: float, sigma: tuple[float, float]
) -> None:
    size = (192, 256)
    head = HeadSpec("simcc", name, simcc_split_ratio=ratio, simcc_sigma=sigma)
    codec = codec_of(head, size, (48, 64))
    generator = np.random.default_rng(3)
    for _ in range(10):
        assert_decoded_alike(made_outputs(kind, head, size, generator), codec, head, size)


def test_a_simcc_peak_is_located_below_a_bin() -> None:
    along_x, along_y = (
        np.exp(-((np.arange(bins) - place) ** 2) / 2 / 6.0**2)[None].repeat(17, axis=0)
        for bins, place in ((384, 101.3), (512, 250.8))
    )
    outputs = [along_x.astype(np.float32), along_y.astype(np.float32)]
    keypoints, _ = decode(outputs, HeadSpec("simcc", "dark"), InputSpec((192, 256)))
    assert np.abs(keypoints - [50.65, 125.4]).max() < 1e-3


def test_dark_on_empty_bins_is_named() -> None:
    outputs = [np.ones((17, bins), np.float32) for bins in (384, 512)]
    outputs[1][3] = 0
    message = r"keypoint 3 has no finite position under decode 'dark': the maximum of its bins is 0"
    with pytest.raises(NotFinite, match=message):
        decode(outputs, HeadSpec("simcc", "dark"), InputSpec((192, 256)))


def test_an_offset_moves_its_keypoint_by_radii() -> None:
    maps = np.zeros((17, 3, 64, 48), np.float32)
    maps[:, 0, 20, 10] = 1
    maps[:, 1, 20, 10], maps[:, 2, 20, 10] = 0.5, -1.0
    head = HeadSpec(decode="udp_combined", radius_factor=1 / 64)
    keypoints, scores = decode([maps.reshape(51, 64, 48)], head, InputSpec((192, 256)))
    assert keypoints[0] == pytest.approx([10.5 / 47 * 192, 19 / 63 * 256])
    assert 0 < scores[0] < 0.1


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
        (HeadSpec(decode="udp_combined"), [(17, 4, 4)], r"\(51, height, width\) with decode 'udp_"),
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
        np.zeros((3, 1, 1), np.uint8),
        InputSpec((192, 256)).normalisation,
        np.array([100, 50], np.float32),
        np.array([48, 64], np.float32),
    )
    inside = np.array([[0.0, 0.0], [96.0, 128.0], [192.0, 256.0]], np.float32)
    placed = to_image(inside, crop, InputSpec((192, 256)))
    assert placed.tolist() == [[76.0, 18.0], [100.0, 50.0], [124.0, 82.0]]
