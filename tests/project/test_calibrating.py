from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.backends import first_forward
from quantkit.calibration.provenance import read_provenance
from quantkit.errors import BackendDied, InputError
from quantkit.progress import Feedback
from quantkit.project import Project, calibrating, load_project
from quantkit.project.calibrating import calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.choosing import choose_set
from quantkit.project.selection_request import SelectionRequest
from quantkit.tuning.recipe import Recipe
from tests.projects import small_project

FEW = CalibrationRequest(selection=SelectionRequest(count=3), method="minmax")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = small_project(tmp_path / "project")
    calibrate_model(project, FEW, feedback=Feedback())
    return project


def test_a_table_of_another_preprocess_is_not_used(project: Project) -> None:
    path = project.root / "quantkit.toml"
    path.write_text(path.read_text().replace('color = "rgb"', 'color = "bgr"'))
    with pytest.raises(InputError, match=r"minmax\.table: was made for another \[input\]"):
        ready_table(load_project(path), "minmax", feedback=Feedback())


def test_a_table_whose_calibration_set_was_replaced_is_not_used(project: Project) -> None:
    name = ready_table(project, "minmax", feedback=Feedback()).calibration_set
    choose_set(
        project, SelectionRequest("first", 2), name=name, feedback=Feedback(), overwrite=True
    )
    with pytest.raises(InputError, match=f"was made for another calibration set '{name}'"):
        ready_table(project, "minmax", feedback=Feedback())


def test_a_damaged_description_of_a_table_is_made_again_with_overwrite(project: Project) -> None:
    table = ready_table(project, "minmax", feedback=Feedback()).table
    description = table.with_suffix(".json")
    before = description.read_bytes()
    description.write_text("{")
    with pytest.raises(InputError, match=r"minmax\.json: exists with other content; .*--overwrite"):
        calibrate_model(project, FEW, feedback=Feedback())
    calibrate_model(project, FEW, feedback=Feedback(), overwrite=True)
    assert description.read_bytes() == before


@pytest.mark.parametrize("name", ["../kl", "a/b", ".kl"])
def test_a_table_name_that_is_a_path_is_refused(project: Project, name: str) -> None:
    with pytest.raises(InputError, match="becomes the name of a file"):
        calibrate_model(project, CalibrationRequest(name=name), feedback=Feedback())


def test_a_network_that_crashes_ncnn_does_so_in_a_child(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*arguments: object, **named: object) -> None:
        message = "backend 'ncnn' died: SIGSEGV"
        raise BackendDied(message)

    (project.work_dir / first_forward.RECORD).unlink()
    monkeypatch.setattr(first_forward, "in_child", dies)
    monkeypatch.setattr(calibrating, "in_child", lambda *a, **k: pytest.fail("it was run"))
    with pytest.raises(BackendDied, match="SIGSEGV"):
        calibrate_model(
            project, CalibrationRequest(selection=SelectionRequest(count=2)), feedback=Feedback()
        )
    assert not (project.tables_dir / "kl.table").exists()


@pytest.mark.slow
def test_a_table_that_was_cut_to_a_budget_is_reused_for_that_budget_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = CalibrationRequest(
        recipe=Recipe(equalize=False, rounding=False, bias=False, learning=0),
        selection=SelectionRequest(count=6),
        budget_s=0.01,
    )
    calibrate_model(project, request, feedback=Feedback())
    origin = read_provenance(project.tables_dir / "best.json")
    assert origin.recipe is not None
    assert origin.recipe["budget_s"] == 0.01
    assert origin.recipe["left_out"] == ["thresholds by the outputs"]

    def made_again(*arguments: object, **named: object) -> None:
        raise BackendDied("it was made again")

    monkeypatch.setattr(calibrating, "in_child", made_again)
    notes: list[str] = []
    calibrate_model(project, request, feedback=Feedback(note=notes.append))
    assert any("table reused" in note for note in notes)
    with pytest.raises(BackendDied):
        calibrate_model(project, replace(request, budget_s=600.0), feedback=Feedback())


@pytest.mark.slow
def test_a_table_from_which_nothing_was_left_out_is_that_of_any_budget(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = CalibrationRequest(
        recipe=Recipe(equalize=False, rounding=False, bias=False, learning=0),
        selection=SelectionRequest(count=6),
        budget_s=None,
    )
    calibrate_model(project, request, feedback=Feedback())
    monkeypatch.setattr(calibrating, "in_child", lambda *a, **k: pytest.fail("made again"))
    for seconds in (600.0, 0.01):
        calibrate_model(project, replace(request, budget_s=seconds), feedback=Feedback())
