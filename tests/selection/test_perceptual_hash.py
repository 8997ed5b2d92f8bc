from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.demo.people.scene import render
from quantkit.selection.near_duplicates import correlation, near_duplicates
from quantkit.selection.perceptual_hash import (
    Grey,
    close_pairs,
    hamming,
    perceptual_hashes,
    thumbnail,
)
from tests.selection.pictures import Picture, draw, encode

WORDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6)


def shown(picture: Picture, suffix: str = ".bmp") -> Grey:
    found = thumbnail(encode(picture, suffix))
    assert found is not None
    return found


def uint8(picture: Any) -> Picture:
    return np.ascontiguousarray(np.clip(np.asarray(picture), 0, 255).astype(np.uint8))


def copies(picture: Picture) -> dict[str, Grey]:
    height, width = picture.shape[:2]
    half = uint8(cv2.resize(picture, (width // 2, height // 2)))
    return {
        "jpeg": shown(picture, ".jpg"),
        "half": shown(half),
        "double": shown(uint8(cv2.resize(picture, (width * 2, height * 2)))),
        "brighter": shown(uint8(picture.astype(np.int64) + 20)),
        "darker": shown(uint8(picture.astype(np.int64) - 20)),
        "flatter": shown(uint8(picture * 0.8)),
        "steeper": shown(uint8(picture * 1.1)),
        "mirrored": shown(uint8(picture[:, ::-1])),
        "mirrored half jpeg": shown(uint8(half[:, ::-1]), ".jpg"),
    }


def check(pictures: list[Picture]) -> None:
    """Every copy is found, and nothing else is."""
    originals = [shown(picture) for picture in pictures]
    made = [copies(picture) for picture in pictures]
    itself = {(index, index) for index in range(len(pictures))}
    assert set(near_duplicates(originals, originals)) == itself
    for name in made[0]:
        assert set(near_duplicates(originals, [one[name] for one in made])) == itself, name


@given(WORDS, WORDS)
def test_hamming_counts_the_bits_that_differ(first: list[int], second: list[int]) -> None:
    expected = [[bin(one ^ other).count("1") for other in second] for one in first]
    got = hamming(np.array(first, np.uint64), np.array(second, np.uint64))
    assert got.tolist() == expected


def test_close_pairs_are_those_of_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2**63, n).astype(np.uint64) for n in (70, 90))
    expected = np.argwhere(hamming(first, second) <= 24).tolist()
    assert 0 < len(expected) < 70 * 90
    monkeypatch.setattr("quantkit.selection.perceptual_hash._PAIRS", 200)
    assert [list(pair) for pair in close_pairs(first, second, 24)] == expected


@pytest.mark.parametrize(("first", "second"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sets_have_no_pairs(first: int, second: int) -> None:
    one, other = np.zeros(first, np.uint64), np.zeros(second, np.uint64)
    assert list(close_pairs(one, other, 64)) == []
    assert list(near_duplicates([draw(1)[:32, :32, 0]] * first, [])) == []


def test_a_hash_is_the_sign_of_the_lowest_frequencies() -> None:
    grey = shown(draw(5))
    turns = (np.arange(32) + 0.5) * np.arange(32)[:, None] * np.pi / 32
    basis = np.cos(turns) * np.sqrt(2 / 32)
    basis[0] /= np.sqrt(2)
    lowest = (basis @ grey.astype(np.float64) @ basis.T)[:8, :8].ravel()
    bits = "".join("1" if one > np.median(lowest[1:]) else "0" for one in lowest)
    assert perceptual_hashes(grey[None]).tolist() == [int(bits, 2)]


def test_a_thumbnail_holds_the_mean_of_each_cell() -> None:
    picture = uint8(np.random.default_rng(1).integers(0, 256, (64, 96)))
    expected = picture.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    got = thumbnail(encode(picture, ".png"))
    assert got is not None
    assert np.abs(got - expected).max() <= 0.5


@pytest.mark.parametrize("data", [b"", b"no image", encode(draw(1), ".jpg")[:500]])
def test_what_is_no_whole_image_has_no_thumbnail(data: bytes) -> None:
    assert thumbnail(data) is None


def test_pictures_that_show_nothing_are_no_duplicates() -> None:
    grey = np.full((40, 40, 3), 90, np.uint8)
    noise = uint8(grey + np.random.default_rng(0).normal(0, 1, grey.shape))
    assert list(near_duplicates([shown(grey), shown(noise)], [shown(grey), shown(noise)])) == []


def test_correlation_is_that_of_the_grey_levels() -> None:
    one, other = shown(draw(1)), shown(draw(2))
    expected = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert correlation(one, other) == pytest.approx(expected)


def test_copies_of_drawn_pictures_are_found() -> None:
    check([draw(seed, 150, 110) for seed in range(20)])


@pytest.mark.slow
def test_copies_of_rendered_people_are_found_and_no_other_pictures() -> None:
    check(
        [render("calibration", index).image for index in range(40)]
        + [render("val", index).image for index in range(40)]
    )


@pytest.mark.slow
def test_copies_of_real_pictures_are_found_and_no_other_pictures(real_data: Path) -> None:
    files = sorted((real_data / "coco").glob("*2017/*.jpg"))
    assert len(files) > 100
    check([uint8(cv2.imread(str(path))) for path in files])
