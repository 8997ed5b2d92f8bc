from pathlib import Path

import pytest

from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.choosing import choose_set
from quantkit.project.selection_request import SelectionRequest
from quantkit.selection.seeded_order import seeded_order
from tests.projects import plant_outlier, small_project

pytestmark = pytest.mark.usefixtures("sound_pair")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, int]:
    project = small_project(tmp_path_factory.mktemp("size") / "project")
    return project, plant_outlier(project)


def pool_of(project: Project) -> PoseDataset:
    data = project.calibration
    return load_dataset(data.annotations, data.images, keypoints=False)


def test_all_who_may_be_chosen_are_where_no_number_is_asked_for(
    planted: tuple[Project, int],
) -> None:
    project, outlier = planted
    request = SelectionRequest(refuse_outliers=True)
    chosen = choose_set(project, request, feedback=Feedback())
    everyone = {one.annotation_id for one in pool_of(project).persons}
    assert {one.annotation_id for one in chosen.entries} == everyone - {outlier}
    assert (chosen.name, chosen.count) == ("small-random-10-seed0", 10)
    assert choose_set(project, SelectionRequest(), feedback=Feedback()).count == 11


def test_more_than_may_be_chosen_is_refused_with_the_number_that_may(
    planted: tuple[Project, int],
) -> None:
    project, _ = planted
    said = r"but 10 may be chosen: 1 of 11 is an outlier; give --count 10$"
    with pytest.raises(InputError, match=said):
        choose_set(project, SelectionRequest(count=11, refuse_outliers=True), feedback=Feedback())
    request = SelectionRequest(count=10, refuse_outliers=True)
    assert choose_set(project, request, name="ten", feedback=Feedback()).count == 10


def test_a_larger_draw_is_proposed_where_the_pool_has_more(planted: tuple[Project, int]) -> None:
    project, outlier = planted
    persons = pool_of(project).persons
    place = [one.annotation_id for one in persons].index(outlier)
    seed = next(seed for seed in range(99) if place in seeded_order(persons, seed)[:6])
    request = SelectionRequest(count=6, seed=seed, among=6, refuse_outliers=True)
    with pytest.raises(InputError, match=r"give --count 5 or a larger --among$"):
        choose_set(project, request, feedback=Feedback())


def test_more_than_there_are_is_refused_before_the_network_is_exported(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    request = SelectionRequest("coverage", count=13, refuse_outliers=True)
    said = r"train\.json: 13 persons are asked for, but there are 12; give --count 12$"
    with pytest.raises(InputError, match=said):
        choose_set(project, request, feedback=Feedback())
    assert not project.work_dir.parent.exists()
