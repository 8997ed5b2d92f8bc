from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from quantkit.data import preprocess
from quantkit.data.affine import center_and_scale, warp_matrix
from quantkit.data.coco import Person, PoseDataset, load_dataset
from quantkit.data.images import read_image
from quantkit.data.preprocess import InputSpec, Warp, crop_person, crops
from quantkit.errors import InputError
from tests.coco_folder import load_coco_folder
from tests.oracles import mmpose_or_skip

SIZES = [(192, 256), (256, 256), (288, 384), (64, 48)]


def _mmpose_crops(dataset: PoseDataset, spec: InputSpec) -> list[dict[str, Any]]:
    mmpose_or_skip()
    import torch
    from mmpose.datasets.transforms import LoadImage, TopdownAffine
    from mmpose.datasets.transforms.common_transforms import GetBBoxCenterScale
    from mmpose.models.data_preprocessors import PoseDataPreprocessor

    steps = [
        LoadImage(),
        GetBBoxCenterScale(padding=spec.padding),
        TopdownAffine(spec.size, use_udp=spec.udp),
    ]
    normalise = PoseDataPreprocessor(
        mean=list(spec.mean), std=list(spec.std), bgr_to_rgb=spec.color == "rgb"
    )
    results = []
    for person in dataset.persons:
        sample: dict[str, Any] = {
            "img_path": str(person.image),
            "bbox": np.array([person.box], np.float32),
        }
        for step in steps:
            sample = step(sample)
        pixels = torch.from_numpy(sample["img"].transpose(2, 0, 1).copy())
        sample["tensor"] = super(PoseDataPreprocessor, normalise).forward({"inputs": [pixels]})
        sample["tensor"] = sample["tensor"]["inputs"][0].numpy()
        results.append(sample)
    return results


def _assert_byte_equal(dataset: PoseDataset, spec: InputSpec) -> None:
    expected = _mmpose_crops(dataset, spec)
    for sample, crop in zip(expected, crops(dataset.persons, spec), strict=True):
        assert sample["input_center"].tobytes() == crop.center.tobytes()
        assert sample["input_scale"].tobytes() == crop.scale.tobytes()
        assert sample["tensor"].tobytes() == crop.tensor.tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_crops_equal_mmposes_to_the_byte(tmp_path: Path, size: tuple[int, int], udp: bool) -> None:
    dataset = load_coco_folder(tmp_path)
    _assert_byte_equal(dataset, InputSpec(size, udp=udp, warp="opencv"))


@pytest.mark.filterwarnings("ignore")
def test_color_padding_mean_and_std_are_mmposes(tmp_path: Path) -> None:
    spec = InputSpec((48, 64), (1.0, 2.0, 3.0), (50.0, 60.0, 70.0), "bgr", 1.1, warp="opencv")
    _assert_byte_equal(load_coco_folder(tmp_path), spec)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("udp", [False, True])
def test_real_crops_equal_mmposes_to_the_byte(real_data: Path, udp: bool) -> None:
    annotations = real_data / "coco/annotations/person_keypoints_val2017.json"
    dataset = load_dataset(annotations, real_data / "coco/val2017", keypoints=True)
    sample = replace(dataset, persons=dataset.persons[udp::4])
    _assert_byte_equal(sample, InputSpec((192, 256), udp=udp, warp="opencv"))


def test_the_default_warp_moves_no_pixel_far(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    exact = [one.tensor for one in crops(dataset.persons, InputSpec((96, 128)))]
    opencv = [one.tensor for one in crops(dataset.persons, InputSpec((96, 128), warp="opencv"))]
    assert max(np.abs(a - b).mean() for a, b in zip(exact, opencv, strict=True)) < 0.05


def test_a_tensor_is_contiguous_float32_in_rgb() -> None:
    blue = np.zeros((20, 20, 3), np.uint8)
    blue[..., 0] = 200
    spec = InputSpec((8, 16), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), padding=1.0)
    person = Person(1, 1, Path("blue.png"), "blue.png", (5.0, 2.0, 11.0, 14.0), 1.0)
    crop = crop_person(blue, person, spec)
    assert crop.tensor.shape == (3, 16, 8)
    assert crop.tensor.dtype == np.float32
    assert crop.tensor.flags.c_contiguous
    assert np.unique(crop.tensor[:2]).tolist() == [0.0]
    assert np.unique(crop.tensor[2]).tolist() == [200.0]


@pytest.mark.parametrize("warp", ["exact", "opencv"])
def test_a_gray_crop_is_cut_out_of_the_gray_image(warp: Warp) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    person = Person(1, 1, Path("p.png"), "p.png", (10.0, 5.0, 40.0, 50.0), 1.0)
    spec = InputSpec((24, 32), mean=(100.0,), std=(50.0,), color="gray", warp=warp)
    made = crop_person(image, person, spec)
    assert made.pixels.shape == spec.shape == (1, 32, 24)
    center, scale = center_and_scale(person.box, spec.size, spec.padding)
    gray = cv2.warpAffine(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), warp_matrix(center, scale, spec.size), spec.size
    )
    # OpenCV 4 rounds positions to 1/32 pixel.
    bound = 8 if warp == "exact" else 0
    assert int(np.abs(made.pixels[0].astype(int) - gray).max()) <= bound
    np.testing.assert_allclose(made.tensor, (made.pixels - np.float32(100)) / np.float32(50))


def test_an_image_is_decoded_once_for_its_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_coco_folder(tmp_path)
    read: list[Path] = []

    def counting(path: Path) -> Any:
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(preprocess, "read_image", counting)
    told: list[tuple[str, int, int]] = []
    made = list(crops(dataset.persons, InputSpec((24, 32)), lambda *step: told.append(step)))
    assert len(made) == len(dataset.persons) == 6
    assert [path.name for path in read] == [f"{number:012d}.png" for number in (7, 3, 11)]
    assert told[-1] == ("crops", 6, 6)


def test_a_broken_image_comes_up_at_its_place(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    broken = dataset.persons[3].image
    broken.write_bytes(broken.read_bytes()[:500])
    stream = crops(dataset.persons, InputSpec((24, 32)))
    for _ in range(3):
        next(stream)
    with pytest.raises(InputError, match=r"000000000003\.png: is truncated"):
        next(stream)


def test_what_opencv_refuses_to_warp_is_named() -> None:
    person = Person(1, 1, Path("flat.png"), "flat.png", (0.0, 0.0, 9.0, 9.0), 1.0)
    with pytest.raises(InputError, match=r"flat\.png: cannot be warped"):
        crop_person(np.zeros((0, 10, 3), np.uint8), person, InputSpec((24, 32), warp="opencv"))


def test_the_default_warp_takes_sides_longer_than_opencvs_limit() -> None:
    long = np.full((2, 40000, 3), 255, np.uint8)
    person = Person(1, 1, Path("long.png"), "long.png", (0.0, 0.0, 39999.0, 1.0), 1.0)
    assert crop_person(long, person, InputSpec((24, 32))).tensor.shape == (3, 32, 24)
