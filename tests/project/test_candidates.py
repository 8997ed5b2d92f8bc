"""Sets of every strategy, from the choice to the proof, on a small project."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from quantkit.calibration.provenance import package_versions
from quantkit.data.coco import Person, load_dataset
from quantkit.errors import InputError
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.candidates import find_outliers
from quantkit.project.choosing import choose_again, choose_set, open_set, set_path
from quantkit.project.exporting import network_at_hand
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.set_sheets import write_sheet
from quantkit.project.verifying import verify_set
from quantkit.selection import STRATEGIES
from quantkit.selection.manifest import (
    CalibrationSet,
    Entry,
    read_calibration_set,
    write_calibration_set,
)
from quantkit.selection.seeded_order import seeded_order
from quantkit.selection.strategies import JUDGED, OF_IMAGES, OF_NETWORK
from quantkit.selection.verify import Verification
from quantkit.storage import json_value
from tests.nets import small_network, write_pair
from tests.projects import plant_outlier, small_project

pytestmark = pytest.mark.usefixtures("sound_pair")

RED = (40, 40, 210)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose candidates are shown to the network once for all tests."""
    return small_project(tmp_path_factory.mktemp("candidates") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return load_project(tmp_path / "project")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, int]:
    """A project with an outlier, and the annotation of that."""
    project = small_project(tmp_path_factory.mktemp("planted") / "project")
    return project, plant_outlier(project)


def chosen_by(project: Project, request: SelectionRequest, name: str = "mine") -> CalibrationSet:
    return choose_set(project, request, name=name, feedback=Feedback(), overwrite=True)


def proof_of(project: Project, name: str = "mine") -> Verification:
    return verify_set(
        project,
        name,
        model_sha256=network_at_hand(project),
        replay=lambda chosen: choose_again(project, chosen, Feedback()),
        feedback=Feedback(),
    )


def problems(found: Verification) -> dict[str, str]:
    return {one.name: one.detail for one in found.findings if not one.passed}


def people(project: Project) -> tuple[Person, ...]:
    data = project.calibration
    return load_dataset(data.annotations, data.images, keypoints=False).persons


def ids(persons: Iterable[Person | Entry]) -> set[int]:
    return {one.annotation_id for one in persons}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_strategy_chooses_is_written_and_proven(shared: Project, strategy: str) -> None:
    chosen = chosen_by(shared, SelectionRequest(strategy, 4, seed=1), strategy)
    assert read_calibration_set(set_path(shared, strategy)) == chosen
    assert open_set(shared, strategy, Feedback()) == chosen
    assert (chosen.strategy, chosen.seed, chosen.count) == (strategy, 1, 4)
    assert len(ids(chosen.entries)) == 4
    found = proof_of(shared, strategy)
    assert found.ok, found.lines()
    assert found.findings[-1].name == "replay"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_manifest_names_what_had_a_part_in_the_choice_and_nothing_else(
    shared: Project, strategy: str
) -> None:
    chosen = chosen_by(shared, SelectionRequest(strategy, 4), strategy)
    assert isinstance(shared.source, NcnnFiles)
    network = read_network(shared.source).sha256
    looks, runs = strategy in (*OF_IMAGES, *OF_NETWORK), strategy in OF_NETWORK
    assert chosen.model_sha256 == (network if runs else None)
    assert chosen.preprocess == (json_value(asdict(shared.input)) if looks else {})
    assert set(chosen.versions) == {"quantkit", *(package_versions() if looks else ())}
    assert ("ranges" in chosen.covers) == runs
    assert ("brightness" in chosen.covers["traits"]) == (strategy in OF_IMAGES)
    assert chosen.covers["traits"]["size"] == {"32 to 96": {"pool": 12, "set": 4}}
    judged = strategy in JUDGED
    assert (chosen.parameters, chosen.refused) == ({"method": "kl"} if judged else {}, ())
    assert ("sqnr_db" in chosen.covers) == judged


def test_a_set_of_all_reaches_every_range(shared: Project) -> None:
    ranges = chosen_by(shared, SelectionRequest("coverage", 12)).covers["ranges"]
    assert ranges["reached"] == ranges["blobs"] > 0
    assert ranges["worst"] == 1


def test_another_network_is_named_by_the_proof(project: Project) -> None:
    chosen = chosen_by(project, SelectionRequest("k_center", 4))
    shutil.rmtree(project.root / "model")
    (project.root / "model").mkdir()
    write_pair(small_network(np.random.default_rng(5)), project.root / "model")
    now = network_at_hand(project)
    assert now is not None
    assert chosen.model_sha256 not in (None, now)
    said = f"was {chosen.model_sha256[:12]}, is {now[:12]} now"
    assert problems(proof_of(project))["network"] == said


def test_another_input_of_the_network_is_named_by_the_proof(project: Project) -> None:
    chosen_by(project, SelectionRequest("k_center", 4))
    wider = replace(project, input=replace(project.input, padding=1.5))
    assert problems(proof_of(wider))["preprocess"] == "padding was 1.25, is 1.5"


@pytest.mark.parametrize("strategy", [*OF_IMAGES, "k_center"])
def test_of_a_large_pool_some_are_drawn_which_is_recorded_and_replayed(
    shared: Project, strategy: str
) -> None:
    chosen = chosen_by(shared, SelectionRequest(strategy, 3, seed=2, among=6), strategy)
    assert chosen.parameters == {"among": 6}
    pool = people(shared)
    drawn = [pool[place] for place in seeded_order(pool, 2)[:6]]
    assert ids(chosen.entries) < ids(drawn)
    assert chosen.candidates == len(pool)
    counts = chosen.covers["traits"]["size"]
    assert sum(one["pool"] for one in counts.values()) == 6
    assert proof_of(shared, strategy).ok


def test_only_those_who_are_drawn_are_looked_at(project: Project) -> None:
    pool = people(project)
    drawn = {pool[place].image for place in seeded_order(pool, 2)[:3]}
    others = {one.image for one in pool} - drawn
    assert others
    for image in others:
        image.write_bytes(b"no image")
    request = SelectionRequest("coverage", 2, seed=2, among=3)
    chosen = chosen_by(project, request)
    assert ids(chosen.entries) < ids(one for one in pool if one.image in drawn)


def test_strategies_that_look_at_nobody_choose_from_all(shared: Project) -> None:
    chosen = chosen_by(shared, SelectionRequest("random", 3, among=3))
    pool = people(shared)
    assert ids(chosen.entries) == {pool[k].annotation_id for k in seeded_order(pool, 0)[:3]}
    assert chosen.parameters == {}
    assert chosen.covers["traits"]["size"]["32 to 96"]["pool"] == 12


@pytest.mark.parametrize("strategy", ["random", "stratified", "coverage"])
def test_an_outlier_is_refused_with_the_reason_and_drawn(
    planted: tuple[Project, int], strategy: str
) -> None:
    project, outlier = planted
    request = SelectionRequest(strategy, 10, refuse_outliers=True)
    chosen = chosen_by(project, request, strategy)
    (refused,) = chosen.refused
    assert (refused.annotation_id, refused.file_name) == (outlier, "000006.png")
    (found,) = find_outliers(project, people(project), Feedback())
    assert found["annotation_id"] == outlier
    layers = found["layers"]
    assert refused.reason == (
        f"{found['factor']:.1f} times the rest in {layers[0]} and {len(layers) - 1} more"
    )
    assert outlier not in ids(chosen.entries)
    assert chosen.parameters == {"refuse_outliers": 1}
    assert chosen.model_sha256 == network_at_hand(project)
    proof = proof_of(project, strategy)
    assert proof.ok, proof.lines()
    picture = cv2.imread(str(write_sheet(project, chosen, Feedback())))
    assert picture is not None
    assert np.all(picture == RED, axis=2).sum() > 100


def test_nobody_is_refused_unless_that_is_asked_for(planted: tuple[Project, int]) -> None:
    project, outlier = planted
    chosen = chosen_by(project, SelectionRequest("coverage", 10), "kept")
    assert chosen.refused == ()
    assert outlier in ids(chosen.entries)


def test_a_choice_with_parameters_of_no_selection_cannot_be_made_again(project: Project) -> None:
    chosen = replace(
        chosen_by(project, SelectionRequest("first", 3)), parameters={"temperature": 2}
    )
    said = "calibration set 'mine' has parameters of no selection: {'temperature': 2}"
    with pytest.raises(InputError, match=f"^{said}$"):
        choose_again(project, chosen, Feedback())
    write_calibration_set(chosen, set_path(project, "mine"), overwrite=True)
    assert problems(proof_of(project)) == {"replay": f"cannot be chosen again: {said}"}


@pytest.mark.parametrize(
    "asked",
    [
        SelectionRequest("random", 12),
        SelectionRequest("stratified", 2),
        SelectionRequest("coverage", 2),
        SelectionRequest("first", 2, refuse_outliers=True),
    ],
)
def test_a_truncated_image_is_named_before_anything_is_written(
    project: Project, asked: SelectionRequest
) -> None:
    image = project.calibration.images / "000004.png"
    image.write_bytes(image.read_bytes()[:-20])
    shutil.rmtree(project.calib_sets_dir, ignore_errors=True)
    with pytest.raises(InputError, match=r"^[^\n]*000004\.png: is truncated [^\n]*$"):
        chosen_by(project, asked)
    assert not project.calib_sets_dir.exists()
