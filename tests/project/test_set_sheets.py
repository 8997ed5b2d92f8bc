from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from quantkit.data.coco import Person, load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.set_sheets import sheet_path, write_sheet
from quantkit.report.contact_sheet import Group, Tile, draw_contact_sheet
from quantkit.selection.manifest import CalibrationSet, Entry, Refused
from quantkit.storage import sha256_file
from tests.projects import small_project

HEAD, TAIL = slice(0, 4), slice(4, 6)


def people(project: Project) -> tuple[Person, ...]:
    data = project.calibration
    return load_dataset(data.annotations, data.images, keypoints=False).persons


def entry(one: Person) -> Entry:
    sha256 = sha256_file(one.image)
    return Entry(one.annotation_id, one.image_id, one.file_name, one.box, sha256)


def chosen_of(project: Project) -> CalibrationSet:
    pool = people(project)
    return CalibrationSet(
        name="first-4",
        strategy="first",
        seed=0,
        count=4,
        annotations="train.json",
        images="train",
        candidates=len(pool),
        candidates_sha256="0" * 64,
        refused=tuple(
            Refused(one.annotation_id, one.file_name, "alone sets conv1 (x3.1)")
            for one in pool[TAIL]
        ),
        entries=tuple(entry(one) for one in pool[HEAD]),
    )


def test_chosen_and_refused_crops_are_drawn_away_from_what_is_committed(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    chosen = chosen_of(project)
    notes: list[str] = []
    steps: list[tuple[str, int, int]] = []
    feedback = Feedback(progress=lambda *step: steps.append(step), note=notes.append)
    path = write_sheet(project, chosen, feedback)
    assert path == project.root / "work_dirs" / "small" / "calib_sets" / "first-4.png"
    assert len(notes) == 1
    assert "first-4.png" in notes[0]
    assert steps[-1] == ("crops", 6, 6)
    assert not project.calib_sets_dir.exists()
    pool = people(project)
    captions = [f"#{p.annotation_id} {p.file_name}" for p in pool]
    boxes = [f"{p.box[2] - p.box[0]:.0f}x{p.box[3] - p.box[1]:.0f}px" for p in pool]
    groups = (
        Group(
            "chosen",
            tuple(Tile(p, f"{captions[i]} {boxes[i]}") for i, p in enumerate(pool[HEAD])),
        ),
        Group(
            "refused outliers",
            tuple(
                Tile(p, f"{caption}: alone sets conv1 (x3.1)", mark=True)
                for p, caption in zip(pool[TAIL], captions[TAIL], strict=True)
            ),
        ),
    )
    expected = draw_contact_sheet(groups, "calibration set first-4", project.input)
    assert path.read_bytes() == expected


def test_a_set_that_refused_nobody_has_no_red_and_replaces_an_older_picture(
    tmp_path: Path,
) -> None:
    project = small_project(tmp_path / "project")
    chosen = chosen_of(project)
    older = write_sheet(project, chosen, Feedback()).read_bytes()
    path = write_sheet(project, replace(chosen, refused=()), Feedback())
    assert path.read_bytes() != older
    picture = cv2.imread(str(path))
    assert picture is not None
    assert not np.all(picture == (40, 40, 210), axis=2).any()


def test_a_refused_person_who_is_gone_is_named(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    chosen = replace(chosen_of(project), refused=(Refused(999, "000001.png", "alone"),))
    with pytest.raises(InputError, match=r"train\.json: holds no annotation 999 on '000001\.png'"):
        write_sheet(project, chosen, Feedback())


def test_an_image_that_was_changed_since_is_named(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    chosen = chosen_of(project)
    people(project)[0].image.write_bytes(b"another")
    with pytest.raises(InputError, match=r"000001\.png"):
        write_sheet(project, chosen, Feedback())
    assert not sheet_path(project, chosen.name).exists()


def test_a_name_leads_to_no_other_folder(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    with pytest.raises(InputError, match="name of a file"):
        sheet_path(project, "../../calib_sets/a")
