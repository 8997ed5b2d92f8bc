"""Sets of persons judged by the tables that they lead to, once each."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import DENSELY_SAMPLED, SAMPLED_VALUES, collect_streaming
from quantkit.data.coco import Person, load_dataset
from quantkit.data.images import read_image
from quantkit.data.preprocess import crop_person
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project, judging, load_project
from quantkit.project.judging import judged
from quantkit.quantization.int8 import quantize
from quantkit.selection.seeded_order import seeded_order
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import small_network, write_pair
from tests.projects import small_project

pytestmark = pytest.mark.usefixtures("sound_pair")

SETS = [[0, 1, 2, 3], [50, 3], [9, 20, 31]]


class Here:
    """Stands for the child process: keeps how many sets it is to judge, and judges them here."""

    def __init__(self) -> None:
        self.judged: list[int] = []

    def __call__(self, who: str, feedback: Feedback, work: Callable[..., Any], task: Any) -> object:
        self.judged.append(len(task.sets))
        return work(feedback, task)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Here:
    here = Here()
    monkeypatch.setattr(judging, "in_child", here)
    return here


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[float]]:
    """A project of 54 persons, whose sets have been judged by a real child."""
    project = small_project(tmp_path_factory.mktemp("judged") / "project", images=27)
    return project, found(project)


@pytest.fixture
def project(known: tuple[Project, list[float]], tmp_path: Path) -> Project:
    shutil.copytree(known[0].root, tmp_path / "project")
    return load_project(tmp_path / "project")


def people(project: Project) -> tuple[Person, ...]:
    data = project.calibration
    return load_dataset(data.annotations, data.images, keypoints=False).persons


def found(
    project: Project,
    sets: Sequence[Sequence[int]] = SETS,
    method: str = "kl",
    feedback: Feedback | None = None,
    persons: Sequence[Person] | None = None,
) -> list[float]:
    everyone = people(project) if persons is None else persons
    shown = feedback or Feedback()
    return judged(project, everyone, sets, method=method, threads=1, feedback=shown)


def expected(project: Project, chosen: Sequence[int], method: str) -> float:
    """The same, step by step."""
    files, persons = project.source, people(project)
    assert isinstance(files, NcnnFiles)

    def tensors(places: Sequence[int]) -> list[Any]:
        few = [persons[place] for place in places]
        return [crop_person(read_image(one.image), one, project.input).tensor for one in few]

    network = read_network(files)
    statistics = collect_streaming(
        network,
        files.input,
        tensors(chosen),
        [layer.name for layer in int8_layers(network)],
        total=len(chosen),
        sampled=DENSELY_SAMPLED if method == "mse" else SAMPLED_VALUES,
    )
    int8 = quantize(network, calibrate(network, statistics, method).table)
    judges = tensors(seeded_order(persons, -1)[:48])
    fp32, quantized = (
        outputs_on(one, files.input, files.outputs, judges) for one in (network, int8)
    )
    return sqnr_db(fp32, quantized)


def turn(image: Path) -> None:
    picture = cv2.imread(str(image))
    assert picture is not None
    cv2.imwrite(str(image), cv2.rotate(picture, cv2.ROTATE_180))


def journal(project: Project) -> Path:
    return project.work_dir / "judged.jsonl"


def test_decibels_are_those_of_the_sets_int8_network_on_48_persons_of_the_pool(
    known: tuple[Project, list[float]],
) -> None:
    project, decibels = known
    assert len(people(project)) == 54
    assert decibels == pytest.approx([expected(project, one, "kl") for one in SETS], rel=1e-6)
    assert len(set(decibels)) == 3


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_tables_are_made_by_the_method_that_is_asked_for(
    project: Project, child: Here, method: str
) -> None:
    (decibels,) = found(project, SETS[:1], method)
    assert child.judged == [1]
    assert decibels == pytest.approx(expected(project, SETS[0], method), rel=1e-6)
    assert decibels != found(project, SETS[:1])[0]


def test_a_set_is_judged_once(
    known: tuple[Project, list[float]], project: Project, child: Here
) -> None:
    kept = journal(project).read_bytes()
    assert len(kept.splitlines()) == 3
    assert found(project, SETS[::-1]) == known[1][::-1]
    assert child.judged == []
    assert journal(project).read_bytes() == kept


def test_neither_the_order_of_a_set_nor_of_the_pool_is_judged(
    known: tuple[Project, list[float]], project: Project, child: Here
) -> None:
    everyone = people(project)
    mirrored = [[53 - place for place in one[::-1]] for one in SETS]
    assert found(project, mirrored, persons=everyone[::-1]) == known[1]
    assert child.judged == []


def test_sets_that_are_not_known_are_judged_and_only_they(
    known: tuple[Project, list[float]], project: Project, child: Here
) -> None:
    steps: list[tuple[str, int, int]] = []
    more = [[7, 8], SETS[1], [5], [8, 7]]
    decibels = found(project, more, feedback=Feedback(lambda *step: steps.append(step)))
    assert child.judged == [2]
    assert [one for one in steps if one[0] != "images"] == [
        ("judging sets", 1, 2),
        ("judging sets", 2, 2),
    ]
    assert decibels[1] == known[1][1]
    assert decibels[0] == decibels[3] != decibels[2]


def test_another_network_is_judged_anew(project: Project, child: Here) -> None:
    before = found(project)
    shutil.rmtree(project.root / "model")
    (project.root / "model").mkdir()
    write_pair(small_network(np.random.default_rng(5)), project.root / "model")
    assert found(project) != before
    assert child.judged == [3]


def test_another_input_of_the_network_is_judged_anew(project: Project, child: Here) -> None:
    wider = replace(project, input=replace(project.input, padding=1.5))
    assert found(wider) != found(project)
    assert child.judged == [3]


def test_the_sets_of_a_changed_image_are_judged_anew(
    project: Project, child: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_JUDGES", 2)
    everyone = people(project)
    judges = {everyone[place].image for place in seeded_order(everyone, -1)[:2]}
    one, other = [place for place in range(0, 54, 2) if everyone[place].image not in judges][:2]
    turn(everyone[one].image)
    sets = [[one], [other], [one + 1, other]]
    before = found(project, sets)
    turn(everyone[one].image)
    after = found(project, sets)
    assert child.judged == [3, 2]
    assert [k for k in range(3) if before[k] != after[k]] == [0, 2]


def test_those_who_judge_are_shown_as_they_are_now(project: Project, child: Here) -> None:
    turn(people(project)[seeded_order(people(project), -1)[0]].image)
    found(project)
    assert child.judged == [3]


def test_a_damaged_line_is_judged_again(
    known: tuple[Project, list[float]], project: Project, child: Here
) -> None:
    first, second, third = journal(project).read_bytes().splitlines(keepends=True)
    damaged = second.replace(b'"sqnr_db": ', b'"sqnr_db": 9')
    journal(project).write_bytes(first + damaged + third[:-9])
    assert found(project) == known[1]
    assert child.judged == [2]
    assert found(project) == known[1]
    assert child.judged == [2]


def test_what_was_judged_before_a_stop_is_kept(
    known: tuple[Project, list[float]], project: Project, child: Here
) -> None:
    journal(project).unlink()

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("judging sets", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found(project, feedback=Feedback(stop))
    assert found(project) == known[1]
    assert child.judged == [3, 1]


def measured_as(monkeypatch: pytest.MonkeyPatch, *decibels: float) -> None:
    values = iter(decibels)
    monkeypatch.setattr(judging, "worst_db", lambda *given: next(values))


def test_outputs_that_are_equal_are_kept_as_a_word(
    project: Project, child: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_as(monkeypatch, np.inf)
    assert found(project, [[4]]) == found(project, [[4]]) == [np.inf]
    line = journal(project).read_text().splitlines()[-1]
    assert json.loads(line)["value"] == {"sqnr_db": "exact"}


def test_sets_whose_outputs_are_not_finite_are_left_out_and_counted(
    project: Project, child: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_as(monkeypatch, 12.0, -np.inf, np.inf)
    notes: list[str] = []
    sets = [[4], [5], [6]]
    assert found(project, sets, feedback=Feedback(note=notes.append)) == [12.0, -np.inf, np.inf]
    assert notes[-1] == (
        "sets: int8 outputs of 12.0 to exact by kl, the best of 3 is taken;"
        " 1 left out, whose int8 outputs are not finite"
    )


def test_no_set_whose_outputs_are_finite_is_an_error(
    project: Project, child: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_as(monkeypatch, -np.inf, -np.inf)
    with pytest.raises(InputError, match=r"int8 outputs by kl are not finite .* 2 sets"):
        found(project, [[4], [5]])


def test_an_image_that_cannot_be_read_is_named(project: Project, child: Here) -> None:
    everyone = people(project)
    everyone[7].image.write_bytes(b"no image")
    with pytest.raises(InputError, match=f"{everyone[7].file_name}: is not an image"):
        found(project, [[7]])
