import json
from pathlib import Path

import pytest

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.layer_timing import table_costs
from quantkit.project.selection_request import SelectionRequest
from tests.projects import small_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = small_project(tmp_path / "project")
    calibrate_model(
        project, CalibrationRequest("kl", selection=SelectionRequest(count=6)), feedback=Feedback()
    )
    return project


def notes_of(project: Project) -> list[str]:
    notes: list[str] = []
    costs = table_costs(project, "kl", feedback=Feedback(note=notes.append))
    assert list(costs) == list(read_table(project.tables_dir / "kl.table").layers)
    assert all(one.ms_fp32 > 0 and one.ms_int8 > 0 for one in costs.values())
    return notes


def test_layers_are_timed_once_on_a_machine(project: Project) -> None:
    assert any("are timed" in note for note in notes_of(project))
    kept = (project.work_dir / "latency.json").read_text()
    assert any("layer times reused" in note for note in notes_of(project))
    assert (project.work_dir / "latency.json").read_text() == kept


@pytest.mark.parametrize("change", ["another machine", "a layer less", "damaged"])
def test_times_that_are_not_this_machines_or_not_all_are_measured_again(
    project: Project, change: str
) -> None:
    notes_of(project)
    path = project.work_dir / "latency.json"
    document = json.loads(path.read_text())
    if change == "another machine":
        document["machine"]["cpu"] = "another"
    else:
        document["layers"] = document["layers"][1:] if change == "a layer less" else []
    path.write_text(json.dumps(document))
    assert any("are timed" in note for note in notes_of(project))


def test_a_file_that_was_given_is_taken_and_nothing_is_written(project: Project) -> None:
    notes_of(project)
    path = project.work_dir / "latency.json"
    given = path.rename(project.root / "phone.json")
    table_costs(project, "kl", latency=given, feedback=Feedback())
    assert not path.exists()
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        table_costs(project, "kl", latency=project.root / "absent.json", feedback=Feedback())
