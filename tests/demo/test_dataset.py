"""The data sets on disk: valid COCO, complete, disjoint, reused and never half there."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from quantkit.demo.people import annotation_file, dataset, render, write_dataset
from quantkit.demo.people.dataset import DiskSplit
from quantkit.errors import InputError

SPLITS: tuple[DiskSplit, ...] = ("calibration", "val")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    for split in SPLITS:
        write_dataset(folder, split)
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the data sets small enough to be written in no time."""
    monkeypatch.setattr(dataset, "_NUMBERS", {"val": dataset._Numbers(pictures=4, before=50)})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read(people: Path, split: DiskSplit) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(annotation_file(people, split).read_text())
    return document


@pytest.mark.slow
@pytest.mark.parametrize(("split", "least"), [("calibration", 256), ("val", 300)])
def test_there_are_enough_persons_with_keypoints(
    people: Path, split: DiskSplit, least: int
) -> None:
    persons = read(people, split)["annotations"]
    assert sum(person["num_keypoints"] > 0 for person in persons) >= least


@pytest.mark.slow
def test_all_of_it_is_less_than_100_megabytes(people: Path) -> None:
    assert sum(map(len, contents(people).values())) < 100e6


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_pycocotools_reads_every_person(people: Path, split: DiskSplit) -> None:
    coco = COCO(str(annotation_file(people, split)))
    document = read(people, split)
    assert len(coco.getAnnIds(catIds=coco.getCatIds(["person"]), iscrowd=False)) == len(
        document["annotations"]
    )
    for person in document["annotations"]:
        visibility = person["keypoints"][2::3]
        assert len(visibility) == 17
        assert person["num_keypoints"] == sum(v > 0 for v in visibility)
        assert person["area"] > 0
        assert len(coco.loadImgs(person["image_id"])) == 1


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_pictures_have_the_size_that_the_annotations_say(people: Path, split: DiskSplit) -> None:
    for image in read(people, split)["images"][::20]:
        picture = cv2.imread(str(people / split / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)


@pytest.mark.slow
def test_no_picture_name_or_id_is_in_both_splits(people: Path) -> None:
    calibration, val = (read(people, split) for split in SPLITS)
    for key in ("id", "file_name", "sha256"):
        names = [{image[key] for image in part["images"]} for part in (calibration, val)]
        assert not names[0] & names[1]
        assert len(names[0]) == len(calibration["images"])
    ids = [{person["id"] for person in part["annotations"]} for part in (calibration, val)]
    assert not ids[0] & ids[1]


@pytest.mark.usefixtures("few")
def test_pictures_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    write_dataset(tmp_path, "val")
    on_disk = cv2.imread(str(tmp_path / "val" / "000052.bmp"))
    np.testing.assert_array_equal(on_disk, render("val", 1).image)


@pytest.mark.usefixtures("few")
def test_twice_is_the_same_bytes(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", "val")
    write_dataset(tmp_path / "b", "val")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.usefixtures("few")
def test_what_is_whole_is_not_rendered_again(tmp_path: Path) -> None:
    write_dataset(tmp_path, "val")
    calls: list[int] = []
    write_dataset(tmp_path, "val", lambda stage, done, total: calls.append(done))
    assert calls == []


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("spoil", ["picture", "missing", "annotations", "version"])
def test_what_was_spoilt_is_made_anew(
    tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path, "val")
    before = contents(tmp_path)
    picture, annotations = tmp_path / "val" / "000052.bmp", annotation_file(tmp_path, "val")
    match spoil:
        case "picture":
            picture.write_bytes(b"x" + picture.read_bytes()[1:])
        case "missing":
            picture.unlink()
        case "annotations":
            annotations.write_text(annotations.read_text().replace('"area": ', '"area": 1'))
        case "version":
            annotations.write_text(annotations.read_text().replace('"version": "', '"version": "x'))
    write_dataset(tmp_path, "val")
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("few")
def test_a_kill_midway_leaves_no_annotations(tmp_path: Path) -> None:
    def killed(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    write_dataset(tmp_path, "val")
    (tmp_path / "val" / "000051.bmp").unlink()
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, "val", killed)
    assert not annotation_file(tmp_path, "val").exists()
    write_dataset(tmp_path, "val")
    assert annotation_file(tmp_path, "val").exists()


@pytest.mark.usefixtures("few")
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"000051\.bmp: cannot be written"):
        write_dataset(tmp_path / "file", "val")
