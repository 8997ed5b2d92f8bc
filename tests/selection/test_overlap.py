from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.selection import select
from quantkit.selection.overlap import SharedImage, overlap, refuse_overlap
from tests.selection.pictures import Picture, draw, encode, picture_pool
from tests.selection.pool import pool


def test_disjoint_images_are_taken(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    refuse_overlap(chosen, pool(tmp_path / "val", first_id=100), images=tmp_path / "train")


def test_an_image_with_the_same_id_is_found(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", images=2, first_id=4)
    for person in val.persons:
        person.image.write_bytes(person.image.read_bytes() + b" encoded again")
    assert overlap(chosen, val) == (SharedImage("000004.jpg", "000004.jpg", "same id"),)


def test_an_image_with_the_same_content_and_another_id_is_found(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", first_id=100)
    (val.images / "000101.jpg").write_bytes(b"image 2")
    assert overlap(chosen, val) == (SharedImage("000002.jpg", "000101.jpg", "same content"),)


def test_an_evaluation_image_without_persons_counts(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "train"), "first", 12)
    val = pool(tmp_path / "val", first_id=100)
    val = replace(val, image_ids=(*val.image_ids, 3))
    assert overlap(chosen, val) == (SharedImage("000003.jpg", "image 3", "same id"),)


def test_the_shared_images_are_named_once_each(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=5)
    chosen = select(data, "first", 15)
    with pytest.raises(InputError) as caught:
        refuse_overlap(chosen, data)
    message = str(caught.value)
    assert "shares 5 images with the evaluation data pool.json" in message
    assert "000001.jpg has the id of 000001.jpg, 000002.jpg has" in message
    assert "000003.jpg has the id of 000003.jpg and 2 more" in message
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
    overlap(chosen, pool(tmp_path / "val", images=2, first_id=100), progress=progress)
    assert seen == [("overlap", 1, 2), ("overlap", 2, 2)]


def copied(train: PoseDataset, val: PoseDataset, picture: Picture, suffix: str = ".jpg") -> None:
    """Put a copy of the third training image in place of the second evaluation image."""
    assert train.persons[2].file_name == "000003.png"
    (val.images / "000101.png").write_bytes(encode(picture, suffix))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("journaled", [False, True])
def test_a_copy_in_another_encoding_is_found(
    tmp_path: Path, mirrored: bool, journaled: bool
) -> None:
    train, val = picture_pool(tmp_path / "a", 1), picture_pool(tmp_path / "b", 100)
    picture = np.asarray(cv2.resize(draw(3), None, fx=0.5, fy=0.5), np.uint8)
    copied(train, val, np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture)
    chosen = select(train, "first", 4)
    journal = Journal(tmp_path / "j") if journaled else None
    for _ in range(2):
        found = overlap(chosen, val, images=train.images, journal=journal)
        assert found == (SharedImage("000003.png", "000101.png", "near-duplicate"),)
    assert overlap(chosen, val, journal=journal) == ()
    with pytest.raises(InputError, match=r"000003\.png is a near-duplicate of 000101\.png; cal"):
        refuse_overlap(chosen, val, images=train.images, journal=journal)


def test_images_are_decoded_once_where_a_journal_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = picture_pool(tmp_path / "a", 1), picture_pool(tmp_path / "b", 100)
    chosen = select(train, "first", 4)
    assert overlap(chosen, val, images=train.images, journal=Journal(tmp_path / "j")) == ()
    kept = (tmp_path / "j").read_bytes()
    assert len(kept.splitlines()) == 8

    def refuse(data: bytes) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("quantkit.selection.fingerprints.thumbnail", refuse)
    assert overlap(chosen, val, images=train.images, journal=Journal(tmp_path / "j")) == ()
    assert (tmp_path / "j").read_bytes() == kept
    (val.images / "000102.png").write_bytes(encode(draw(3), ".jpg"))
    with pytest.raises(AssertionError, match="decoded again"):
        overlap(chosen, val, images=train.images, journal=Journal(tmp_path / "j"))


def test_an_evaluation_image_that_is_none_is_compared_by_its_bytes(tmp_path: Path) -> None:
    train, val = picture_pool(tmp_path / "a", 1), picture_pool(tmp_path / "b", 100)
    whole = encode(draw(3), ".jpg")
    (val.images / "000101.png").write_bytes(whole[: len(whole) // 2])
    (val.images / "000102.png").write_bytes(b"")
    assert overlap(select(train, "first", 4), val, images=train.images) == ()


def test_the_real_train_and_val_images_are_no_duplicates(real_data: Path) -> None:
    coco = real_data / "coco"
    train, val = (
        load_dataset(coco / "annotations" / name, coco / folder, keypoints=False)
        for name, folder in (
            ("person_boxes_train2017.json", "train2017"),
            ("person_keypoints_val2017.json", "val2017"),
        )
    )
    chosen = select(train, "first", len(train.persons))
    assert len({entry.file_name for entry in chosen.entries}) > 90
    assert overlap(chosen, val, images=train.images) == ()


@pytest.mark.parametrize("record", [{}, {"grey": 3}, {"grey": "AAAA"}, {"grey": "ä"}])
def test_a_damaged_record_of_an_image_is_made_again(
    tmp_path: Path, record: dict[str, object]
) -> None:
    train, val = picture_pool(tmp_path / "a", 1), picture_pool(tmp_path / "b", 100)
    copied(train, val, draw(3))
    chosen = select(train, "first", 4)
    journal = Journal(tmp_path / "j")
    journal.record(f"thumbnail-1 {chosen.entries[2].sha256}", record)
    for _ in range(2):
        (found,) = overlap(chosen, val, images=train.images, journal=journal)
        assert (found.file_name, found.reason) == ("000003.png", "near-duplicate")
