"""Candidates are shown to the network once, whatever is asked of them later."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from quantkit.data.coco import load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project, load_project, observing
from quantkit.project.choosing import choose_set, set_path
from quantkit.project.observing import observed
from quantkit.project.selection_request import SelectionRequest
from quantkit.selection.activation_records import ActivationRecords, Rows
from tests.projects import small_project

pytestmark = pytest.mark.usefixtures("sound_pair")

ASKED = SelectionRequest("coverage", 4, refuse_outliers=True)


class Here:
    """Stands for the child process: keeps whom it is to show, and shows them here."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def __call__(
        self, who: str, feedback: Feedback, work: Callable[..., Any], *given: Any
    ) -> object:
        self.shown += [person.annotation_id for person in given[3].values()]
        return work(feedback, *given)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Here:
    here = Here()
    monkeypatch.setattr(observing, "in_child", here)
    return here


@pytest.fixture
def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(observing, "in_child", refuse)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose candidates have been shown, and the set that came of it."""
    project = small_project(tmp_path_factory.mktemp("seen") / "project")
    chosen(project)
    return project


@pytest.fixture
def project(seen: Project, tmp_path: Path) -> Project:
    shutil.copytree(seen.root, tmp_path / "project")
    return load_project(tmp_path / "project")


def chosen(project: Project, request: SelectionRequest = ASKED, name: str = "mine") -> bytes:
    """Choose a set; give the bytes of its manifest."""
    choose_set(project, request, name=name, feedback=Feedback(), overwrite=True)
    return set_path(project, name).read_bytes()


def forget(project: Project) -> None:
    shutil.rmtree(project.work_dir / "activations")


def rows(project: Project) -> Path:
    (path,) = (project.work_dir / "activations").iterdir()
    return path


def edit(project: Project, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the annotations."""
    path = project.calibration.annotations
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("strategy", ["k_center", "herding", "coverage", "influence"])
def test_a_second_choice_shows_nobody(project: Project, strategy: str) -> None:
    kept = rows(project).read_bytes()
    chosen(project, SelectionRequest(strategy, 3, seed=4, among=7), "other")
    assert rows(project).read_bytes() == kept


@pytest.mark.usefixtures("without_child")
def test_a_choice_that_is_made_again_is_the_same_to_the_byte(project: Project) -> None:
    before = set_path(project, "mine").read_bytes()
    set_path(project, "mine").unlink()
    assert chosen(project) == before


def test_the_persons_of_a_changed_image_are_shown_again_and_only_they(
    project: Project, child: Here
) -> None:
    image = project.calibration.images / "000003.png"
    picture = cv2.imread(str(image))
    assert picture is not None
    cv2.imwrite(str(image), cv2.flip(picture, 1))
    chosen(project)
    assert child.shown == [30, 31]
    chosen(project)
    assert child.shown == [30, 31]


def test_a_person_of_a_changed_box_is_shown_again_and_only_that(
    project: Project, child: Here
) -> None:
    def wider(document: dict[str, Any]) -> None:
        (one,) = (one for one in document["annotations"] if one["id"] == 21)
        one["bbox"][2] += 3

    edit(project, wider)
    chosen(project)
    assert child.shown == [21]


@pytest.mark.usefixtures("without_child")
def test_another_order_of_the_annotations_shows_nobody(project: Project) -> None:
    everyone = load(project)
    before = observed(project, everyone, Feedback()).activations
    turned = observed(project, everyone[::-1], Feedback()).activations
    assert (turned.absmax == before.absmax[::-1]).all()
    assert (turned.counts[turned.records] == before.counts[before.records][::-1]).all()


def test_another_input_of_the_network_is_another_file(project: Project, child: Here) -> None:
    kept = rows(project).read_bytes()
    chosen(replace(project, input=replace(project.input, padding=1.5)), name="other")
    assert len(child.shown) == 12
    first, second = (project.work_dir / "activations").iterdir()
    assert kept in (first.read_bytes(), second.read_bytes())


@pytest.mark.parametrize("torn", [0, 7])
def test_a_choice_that_was_killed_goes_on_where_it_was(
    project: Project, child: Here, monkeypatch: pytest.MonkeyPatch, torn: int
) -> None:
    uninterrupted = set_path(project, "mine").read_bytes()
    forget(project)
    set_path(project, "mine").unlink()
    append = ActivationRecords.append

    def until_killed(self: ActivationRecords, items: Iterable[tuple[bytes, Rows]]) -> Iterator[int]:
        for done in append(self, items):
            yield done
            if done == 5:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ActivationRecords, "append", until_killed)
        with pytest.raises(KeyboardInterrupt):
            chosen(project)
    assert not set_path(project, "mine").exists()
    if torn:
        rows(project).write_bytes(rows(project).read_bytes()[:-torn])
    child.shown.clear()
    assert chosen(project) == uninterrupted
    assert child.shown == ids(project)[4 if torn else 5 :]


def test_what_it_costs_is_said_before_and_what_is_known_is_left_out(
    project: Project, child: Here
) -> None:
    edit(project, lambda document: document["annotations"][0]["bbox"].__setitem__(2, 50))
    notes: list[str] = []
    steps: list[tuple[str, int, int]] = []
    observed(project, load(project), Feedback(lambda *step: steps.append(step), notes.append))
    said = "candidates: one forward of 1 persons (11 of 12 are known already), 0 MB on disk"
    assert notes[-1] == said
    assert [step for step in steps if step[0] == "images"][-1] == ("images", 6, 6)
    assert steps[-1] == ("candidates", 1, 1)


@pytest.mark.usefixtures("without_child")
def test_an_image_that_is_gone_is_named(project: Project) -> None:
    everyone = load(project)
    everyone[0].image.unlink()
    with pytest.raises(InputError, match=r"000001\.png: cannot be read"):
        observed(project, everyone, Feedback())


def load(project: Project) -> Any:
    data = project.calibration
    return load_dataset(data.annotations, data.images, keypoints=False).persons


def ids(project: Project) -> list[int]:
    return [one.annotation_id for one in load(project)]
