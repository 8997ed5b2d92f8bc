"""Calibration around layers that are asked to stay in fp32."""

import shutil
from pathlib import Path

import pytest

from quantkit.calibration.provenance import read_provenance
from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.eligibility import quantized_layers
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.calibrating import Calibrated, calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.selection_request import SelectionRequest
from quantkit.tuning.recipe import Recipe
from tests.projects import small_project

SMALL = SelectionRequest(count=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_project(tmp_path_factory.mktemp("keeping") / "project").root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    shutil.copytree(made, tmp_path / "project")
    return load_project(tmp_path / "project")


def calibrated(project: Project, *keep: str, **asked: object) -> Calibrated:
    request = CalibrationRequest(
        **{"method": "kl", "selection": SMALL, "keep_fp32": keep, **asked}  # type: ignore[arg-type]
    )
    return calibrate_model(project, request, feedback=Feedback(), overwrite=True)


def test_a_table_around_layers_is_that_of_all_without_them(project: Project) -> None:
    whole = calibrated(project, name="whole")
    part = calibrated(project, "head", "?eft", "type:InnerProduct")
    gone = set(read_table(whole.table).layers) - set(read_table(part.table).layers)
    network = read_network(whole.fp32)
    inner = {layer.name for layer in network.param.layers if layer.type == "InnerProduct"}
    assert gone == {"head", "left", *inner}
    assert read_table(part.table) == read_table(whole.table).without(sorted(gone))
    assert {name for name, reason in part.left_out.items() if reason == "asked for"} == gone
    origin = read_provenance(part.table.with_suffix(".json"))
    assert set(origin.kept_fp32) == gone
    assert not gone & set(quantized_layers(read_network(part.int8)))


def test_a_table_is_reused_only_for_the_same_layers(project: Project) -> None:
    calibrated(project, "head", "left")
    notes: list[str] = []

    def again(*keep: str) -> None:
        request = CalibrationRequest("kl", selection=SMALL, keep_fp32=keep)
        calibrate_model(project, request, feedback=Feedback(note=notes.append))

    again("left", "hea?")
    assert any("nothing changed, table reused" in note for note in notes)
    for keep in ((), ("head",)):
        with pytest.raises(InputError, match="exists with other content"):
            again(*keep)


@pytest.mark.parametrize("method", ["kl", "aciq"])
def test_ncnn2tables_methods_leave_them_out_too(project: Project, method: str) -> None:
    whole = calibrated(project, method=method, compat=True, name="whole")
    part = calibrated(project, "head", method=method, compat=True)
    assert read_table(part.table) == read_table(whole.table).without(["head"])
    assert part.left_out["head"] == "asked for"


@pytest.mark.slow
def test_best_equalizes_searches_and_rounds_around_them(project: Project) -> None:
    part = calibrated(project, "stem", method="best", recipe=Recipe(learning=0))
    assert "stem" not in read_table(part.table).layers
    assert part.left_out["stem"] == "asked for"
    assert part.steps
    assert "stem" not in quantized_layers(read_network(part.int8))


@pytest.mark.parametrize(
    ("keep", "message"),
    [("conv_99", "'conv_99' matches no layer of those that could be int8"), ("*", "leaves no")],
)
def test_what_cannot_be_kept_is_said_before_anything_is_written(
    project: Project, keep: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        calibrated(project, keep)
    assert not project.tables_dir.exists()
    assert not project.calib_sets_dir.exists()
