from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.choosing import choose_set, open_set
from quantkit.project.selection_request import SelectionRequest
from quantkit.selection.manifest import CalibrationSet
from tests.projects import small_project

Step = tuple[str, int, int]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


def chosen_of(project: Project, feedback: Feedback | None = None) -> CalibrationSet:
    return choose_set(
        project, SelectionRequest("first", 5), name="mine", feedback=feedback or Feedback()
    )


def make_alike(project: Project) -> None:
    """Put a smaller copy of an evaluation image among the images to calibrate on."""
    picture = cv2.imread(str(project.val.images / "001003.png"))
    assert picture is not None
    smaller = cv2.resize(picture, (90, 75), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(project.calibration.images / "000002.png"), smaller)


def test_a_near_duplicate_of_an_evaluation_image_is_not_chosen(project: Project) -> None:
    make_alike(project)
    with pytest.raises(InputError, match=r"000002\.png is a near-duplicate of 001003\.png"):
        chosen_of(project)
    assert not project.calib_sets_dir.exists()


def test_a_set_whose_evaluation_data_came_to_hold_a_near_duplicate_is_not_opened(
    project: Project,
) -> None:
    assert open_set(project, chosen_of(project).name, Feedback()).name == "mine"
    picture = cv2.imread(str(project.calibration.images / "000003.png"))
    assert picture is not None
    cv2.imwrite(str(project.val.images / "001001.png"), cv2.convertScaleAbs(picture, beta=3))
    with pytest.raises(InputError, match=r"000003\.png is a near-duplicate of 001001\.png"):
        open_set(project, "mine", Feedback())


@pytest.mark.parametrize("again", [chosen_of, lambda p, f: open_set(p, "mine", f)])
def test_the_evaluation_images_are_counted_and_remembered(
    project: Project, again: Callable[[Project, Feedback], CalibrationSet]
) -> None:
    chosen_of(project)
    kept = (project.work_dir.parent / "thumbnails.jsonl").read_bytes()
    steps: list[Step] = []
    again(project, Feedback(progress=lambda *step: steps.append(step)))
    assert steps[-1] == ("overlap", 6, 6)
    assert (project.work_dir.parent / "thumbnails.jsonl").read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"no image at all"])
@pytest.mark.parametrize("strategy", ["first", "random", "stratified"])
def test_a_file_that_is_no_image_is_named_before_anything_is_written(
    project: Project, content: bytes, strategy: str
) -> None:
    (project.calibration.images / "000002.png").write_bytes(content)
    notes: list[str] = []
    with pytest.raises(InputError, match=r"000002\.png: is not an image") as raised:
        choose_set(project, SelectionRequest(strategy), feedback=Feedback(note=notes.append))
    assert "\n" not in str(raised.value)
    assert not project.calib_sets_dir.exists()
    assert notes == []


def test_a_file_that_is_no_image_is_no_matter_where_it_is_not_chosen(project: Project) -> None:
    (project.calibration.images / "000006.png").write_bytes(b"no image at all")
    assert len(chosen_of(project).entries) == 5


def test_images_of_a_set_that_were_decoded_before_are_not_decoded_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = chosen_of(project)

    def refuse(*given: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    assert chosen_of(project) == chosen
