import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.data import images
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec, crop_person
from quantkit.errors import InputError
from quantkit.selection import traits as module
from quantkit.selection.traits import UNKNOWN, _crowding, box_traits, measure_traits
from quantkit.storage import read_bytes
from tests.selection.seen import Box, painted, person

SQUARE = InputSpec((64, 64), padding=1.25)

corner = st.integers(0, 20)
extent = st.integers(1, 12)
boxes = st.tuples(corner, corner, extent, extent).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def cells(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@given(st.lists(boxes, min_size=1, max_size=6))
def test_crowding_is_the_share_of_the_pixels_that_another_box_covers(
    found: list[tuple[int, int, int, int]],
) -> None:
    expected = [
        max(
            [
                len(cells(box) & cells(other)) / len(cells(box))
                for j, other in enumerate(found)
                if j != i
            ],
            default=0.0,
        )
        for i, box in enumerate(found)
    ]
    assert _crowding(np.array(found, float)) == pytest.approx(expected)


def test_persons_of_other_images_crowd_nobody(tmp_path: Path) -> None:
    paths = [
        painted(tmp_path / name, np.zeros((60, 60, 3), np.uint8)) for name in ("a.png", "b.png")
    ]
    box = (10.0, 10.0, 50.0, 50.0)
    half = (10.0, 10.0, 30.0, 50.0)
    people = [person(paths[0], box), person(paths[1], box), person(paths[0], half)]
    assert measure_traits(people, {}, SQUARE).crowding.tolist() == [0.5, 0.0, 1.0]


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((30.0, 30.0, 70.0, 70.0), 0.0),  # the crop is 25 to 75
        ((0.0, 30.0, 40.0, 70.0), 0.1),  # -5 to 45 across: 5 of 50 columns lie outside
        ((0.0, 0.0, 40.0, 40.0), 1 - 0.9 * 0.9),
        ((0.0, 0.0, 100.0, 100.0), 1 - 0.8 * 0.8),
        ((40.0, 0.0, 60.0, 100.0), 1 - 0.8 * 0.8),  # widened to the square that the network takes
    ],
)
def test_truncation_is_the_share_of_the_crop_outside_the_image(
    tmp_path: Path, box: Box, share: float
) -> None:
    image = painted(tmp_path / "a.png", np.full((100, 100, 3), 90, np.uint8))
    (found,) = measure_traits([person(image, box)], {}, SQUARE).truncation
    assert found == pytest.approx(share, abs=1e-5)


def test_truncation_is_the_black_of_the_crop(tmp_path: Path) -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    image = painted(tmp_path / "a.png", white)
    one = person(image, (3.0, 20.0, 43.0, 99.0))
    (found,) = measure_traits([one], {}, InputSpec((192, 256))).truncation
    black = np.mean(crop_person(white, one, InputSpec((192, 256))).pixels < 128)
    assert found == pytest.approx(black, abs=0.02)


def test_brightness_and_contrast_are_those_of_the_crop_inside_the_image(tmp_path: Path) -> None:
    pixels = np.full((100, 100, 3), 255, np.uint8)
    pixels[:45, :45] = 40
    pixels[:45, 22:45] = 80
    image = painted(tmp_path / "a.png", pixels)
    found = measure_traits([person(image, (0.0, 0.0, 40.0, 40.0))], {}, SQUARE)
    inside = np.repeat([40.0, 80.0], [22, 23])
    assert found.brightness[0] == pytest.approx(inside.mean(), abs=1e-6)
    assert found.contrast[0] == pytest.approx(inside.std(), abs=1e-6)


def test_colours_weigh_as_the_eye_sees_them(tmp_path: Path) -> None:
    image = painted(tmp_path / "a.png", np.full((40, 40, 3), (0, 200, 0), np.uint8))
    found = measure_traits([person(image, (10.0, 10.0, 30.0, 30.0))], {}, SQUARE)
    assert found.brightness[0] == pytest.approx(0.587 * 200, abs=0.5)


def test_size_aspect_and_keypoints_are_the_annotations(tmp_path: Path) -> None:
    image = painted(tmp_path / "a.png", np.zeros((100, 100, 3), np.uint8))
    people = [person(image, (10.0, 10.0, 30.0, 90.0), 7), person(image, (0.0, 0.0, 9.0, 9.0), 8)]
    found = measure_traits(people, {8: 12}, SQUARE)
    assert found.size.tolist() == [40.0, 9.0]
    assert found.aspect.tolist() == [0.25, 1.0]
    assert found.keypoints.tolist() == [-1.0, 12.0]


def test_boxes_alone_say_the_same_where_they_decide_and_nothing_else(tmp_path: Path) -> None:
    paths = [painted(tmp_path / f"{k}.png", np.full((50, 50, 3), 9, np.uint8)) for k in range(3)]
    corners = np.random.default_rng(0).uniform(0, 20, (12, 2))
    people = [
        person(paths[k % 3], (x, y, x + 4 + k, y + 20), k) for k, (x, y) in enumerate(corners)
    ]
    keypoints = {k: k + 1 for k in range(0, 12, 2)}
    seen, told = measure_traits(people, keypoints, SQUARE), box_traits(people, keypoints)
    for name in ("size", "aspect", "keypoints", "crowding"):
        assert told.named()[name].tolist() == seen.named()[name].tolist()
    for name in ("truncation", "brightness", "contrast"):
        assert told.named()[name].tolist() == [UNKNOWN] * 12


def test_boxes_are_told_without_their_images(tmp_path: Path) -> None:
    found = box_traits([person(tmp_path / "missing.jpg", (0.0, 0.0, 4.0, 9.0))], {})
    assert (found.size.tolist(), found.crowding.tolist()) == ([6.0], [0.0])
    assert all(values.shape == (0,) for values in box_traits([], {}).named().values())


def test_every_image_is_read_once_in_any_order_of_the_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(images, "read_bytes", counted)
    paths = [
        painted(tmp_path / f"{level}.png", np.full((50, 50, 3), level, np.uint8))
        for level in (10, 20, 30)
    ]
    people = [person(paths[i], (10.0, 10.0, 30.0, 30.0), n) for n, i in enumerate((2, 0, 1, 2, 0))]
    told: list[tuple[str, int, int]] = []
    found = measure_traits(people, {}, SQUARE, lambda *step: told.append(step))
    assert found.brightness.tolist() == [30.0, 10.0, 20.0, 30.0, 10.0]
    assert sorted(read) == sorted(paths)
    assert told == [("traits", done, 5) for done in range(1, 6)]


def test_nobody_has_no_traits() -> None:
    found = measure_traits([], {}, SQUARE)
    assert all(values.shape == (0,) for values in found.named().values())


@pytest.mark.parametrize("content", [None, b"no image", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.jpg"):
        measure_traits([person(path, (0.0, 0.0, 9.0, 9.0))], {}, SQUARE)


def test_an_image_smaller_than_its_annotation_says_is_all_truncated(tmp_path: Path) -> None:
    image = painted(tmp_path / "a.png", np.full((20, 20, 3), 90, np.uint8))
    found = measure_traits([person(image, (60.0, 60.0, 80.0, 90.0))], {}, SQUARE)
    assert (found.truncation[0], found.brightness[0]) == (1.0, 0.0)


def test_many_boxes_pass_through_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, images_there = 2_000, 400
    monkeypatch.setattr(module, "read_image", lambda path: np.zeros((200, 200, 3), np.uint8))
    paths = [tmp_path / str(number) for number in range(images_there)]
    people = [
        Person(n, n, paths[n % images_there], "a", (1.0, 1.0, 9.0, 9.0), 64.0) for n in range(count)
    ]
    tracemalloc.start()
    found = measure_traits(people, {}, SQUARE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.size.shape == (count,)
    # All of the images are 48 MB.
    assert peak < 1.5e6
