from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.data.coco import load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.choosing import set_path
from quantkit.project.image_journal import image_journal
from quantkit.project.verifying import verify_set
from quantkit.selection import select
from quantkit.selection.manifest import CalibrationSet, write_calibration_set
from tests.projects import small_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


@pytest.fixture
def chosen(project: Project) -> CalibrationSet:
    pool = load_dataset(
        project.calibration.annotations, project.calibration.images, keypoints=False
    )
    found = select(pool, "first", 3, name="mine", root=project.root)
    return write_calibration_set(found, set_path(project, "mine"))


def test_a_set_of_the_project_is_proven(project: Project, chosen: CalibrationSet) -> None:
    asked = []

    def replay(manifest: CalibrationSet) -> CalibrationSet:
        asked.append(manifest)
        return manifest

    found = verify_set(project, "mine", replay=replay, feedback=Feedback())
    assert found.ok, found.lines()
    assert found.sha256 == chosen.sha256
    assert asked == [chosen]
    assert (project.work_dir.parent / "thumbnails.jsonl").is_file()


def test_images_are_kept_for_all_models_of_a_project(
    project: Project, chosen: CalibrationSet
) -> None:
    verify_set(project, "mine", feedback=Feedback())
    kept = (project.work_dir.parent / "thumbnails.jsonl").read_bytes()
    other = replace(project, name="other")
    assert verify_set(other, "mine", feedback=Feedback()).ok
    assert (project.work_dir.parent / "thumbnails.jsonl").read_bytes() == kept
    assert image_journal(other).find("nothing") is None


def test_another_input_of_the_project_is_a_finding(
    project: Project, chosen: CalibrationSet
) -> None:
    cropped = replace(chosen, preprocess={"color": "bgr"})
    write_calibration_set(cropped, set_path(project, "mine"), overwrite=True)
    found = verify_set(project, "mine", feedback=Feedback())
    assert "color was bgr, is rgb" in [one.detail for one in found.findings]
    assert not found.ok


def test_an_image_that_changed_is_a_finding(project: Project, chosen: CalibrationSet) -> None:
    image = project.calibration.images / chosen.entries[0].file_name
    image.write_bytes(image.read_bytes() + b"\0")
    found = verify_set(project, "mine", feedback=Feedback())
    assert [one.name for one in found.findings if not one.passed] == ["images"]


def test_a_set_that_is_not_there_is_an_error(project: Project) -> None:
    with pytest.raises(InputError, match=r"other\.json: cannot be read"):
        verify_set(project, "other", feedback=Feedback())
