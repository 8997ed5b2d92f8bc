from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.errors import InputError
from quantkit.selection import select
from quantkit.selection.resolve import resolve
from tests.selection.pool import pool


def test_the_persons_come_back_in_order(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    chosen = select(data, "random", 7)
    persons = resolve(chosen, data.images)
    by_id = {person.annotation_id: person for person in data.persons}
    for entry, person in zip(chosen.entries, persons, strict=True):
        assert replace(person, area=500.0) == by_id[entry.annotation_id]


def test_a_set_works_in_another_folder_with_the_same_images(tmp_path: Path) -> None:
    chosen = select(pool(tmp_path / "here"), "first", 2)
    there = pool(tmp_path / "there")
    assert resolve(chosen, there.images)[0].image == (there.images / "000001.jpg").absolute()


def test_an_image_that_changed_is_named(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    chosen = select(data, "first", 12)
    (data.images / "000003.jpg").write_bytes(b"another")
    with pytest.raises(InputError, match=r"000003\.jpg: is not the image that was selected"):
        resolve(chosen, data.images)


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    chosen = select(data, "first", 12)
    (data.images / "000002.jpg").unlink()
    with pytest.raises(InputError, match=r"000002\.jpg: cannot be read"):
        resolve(chosen, data.images)


def test_a_link_out_of_the_images_folder_is_refused(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    chosen = select(data, "first", 1)
    image = data.images / "000001.jpg"
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(InputError, match=r"000001\.jpg: lies outside the images folder"):
        resolve(chosen, data.images)
