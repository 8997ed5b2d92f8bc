from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.errors import InputError
from quantkit.selection import select
from quantkit.selection.overlap import overlap, refuse_overlap
from tests.selection.pool import pool


def test_disjoint_images_are_taken(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    refuse_overlap(chosen, pool(tmp_path / "val", first_id=100))


def test_an_image_with_the_same_id_is_found(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", images=2, first_id=4)
    for person in val.persons:
        person.image.write_bytes(person.image.read_bytes() + b" encoded again")
    assert overlap(chosen, val) == ("000004.jpg",)


def test_an_image_with_the_same_content_and_another_id_is_found(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", first_id=100)
    (val.images / "000101.jpg").write_bytes(b"image 2")
    assert overlap(chosen, val) == ("000002.jpg",)


def test_an_evaluation_image_without_persons_counts(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", first_id=100)
    assert overlap(chosen, replace(val, image_ids=(*val.image_ids, 3))) == ("000003.jpg",)


def test_the_shared_images_are_named_once_each(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=5)
    chosen = select(data, "first", 15)
    with pytest.raises(InputError) as caught:
        refuse_overlap(chosen, data)
    message = str(caught.value)
    assert "shares 5 images with the evaluation data pool.json" in message
    assert "000001.jpg, 000002.jpg, 000003.jpg and 2 more" in message
    assert "\n" not in message


def test_persons_that_were_not_chosen_do_not_count(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=5)
    assert overlap(select(data, "first", 3), data.subset([2, 3])) == ()


def test_a_missing_evaluation_image_is_named(tmp_path: Path) -> None:
    val = pool(tmp_path / "val", first_id=100)
    val.persons[0].image.unlink()
    with pytest.raises(InputError, match=r"000100\.jpg: cannot be read"):
        refuse_overlap(select(pool(tmp_path / "train"), "first", 1), val)


def test_progress_counts_the_evaluation_images(tmp_path: Path) -> None:
    seen = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    chosen = select(pool(tmp_path / "train"), "first", 1)
    overlap(chosen, pool(tmp_path / "val", images=2, first_id=100), progress)
    assert seen == [("overlap", 1, 2), ("overlap", 2, 2)]
