"""`table edit`: what it changes, what it leaves to the byte, and what it remembers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from quantkit.calibration.provenance import read_provenance
from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.eligibility import quantized_layers
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.calibrating import calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.table_editing import EditedTable, TableEdit, edit_table
from quantkit.storage import sha256_file
from quantkit.tuning.recipe import Recipe
from tests.projects import small_project

SMALL = SelectionRequest(count=4)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = small_project(tmp_path_factory.mktemp("editing") / "project")
    calibrate_model(project, CalibrationRequest("kl", selection=SMALL), feedback=Feedback())
    return project.root


@pytest.fixture
def project(calibrated: Path, tmp_path: Path) -> Project:
    shutil.copytree(calibrated, tmp_path / "project")
    return load_project(tmp_path / "project")


def edited(project: Project, table: str | Path = "kl", **asked: object) -> EditedTable:
    edit = TableEdit(**asked)  # type: ignore[arg-type]
    return edit_table(project, table, edit, "mine", feedback=Feedback(), overwrite=True)


def test_lines_that_are_not_asked_for_stay_to_the_byte(project: Project) -> None:
    made = edited(project, fp32=("head",), thresholds={"stem": 12.7}, reason="it costs the most")
    before = (project.tables_dir / "kl.table").read_text().splitlines()
    after = made.table.read_text().splitlines()
    gone = [line for line in before if line not in after]
    assert [line.split()[0] for line in gone] == ["head_param_0", "stem", "head"]
    assert [line for line in after if line not in before] == ["stem 10.000000 "]
    origin = read_provenance(made.table.with_suffix(".json"))
    assert origin.left_out["head"] == "it costs the most"
    assert origin.parent == {
        "table": "kl",
        "sha256": sha256_file(project.tables_dir / "kl.table"),
    }
    old = read_table(project.tables_dir / "kl.table").activation_scales
    assert [(one["layer"], one["threshold"], one["reason"]) for one in origin.edits] == [
        ("head", None, "it costs the most"),
        ("stem", 12.7, "it costs the most"),
    ]
    assert origin.edits[1]["before"] == pytest.approx(127 / old["stem"])
    assert origin.layers["stem"].threshold == pytest.approx(12.7)
    assert origin.layers["head"].scale is None


def test_an_edited_table_is_as_good_as_a_calibrated_one(project: Project) -> None:
    edited(project, fp32=("head",))
    ready = ready_table(project, "mine", feedback=Feedback())
    assert ready.origin.unknown is None
    assert ready.calibration_set == "small-random-4-seed0"
    assert "head" not in quantized_layers(read_network(ready.int8))
    # Its guards are those of its parent.
    path = project.root / "quantkit.toml"
    path.write_text(path.read_text().replace('color = "rgb"', 'color = "bgr"'))
    with pytest.raises(InputError, match=r"mine\.table: was made for another \[input\]"):
        ready_table(load_project(path), "mine", feedback=Feedback())


def test_an_edit_of_an_edit_remembers_both(project: Project) -> None:
    edited(project, fp32=("head",), reason="first")
    edit = TableEdit(("stem",), {}, "then")
    again = edit_table(project, "mine", edit, "again", feedback=Feedback())
    origin = read_provenance(again.table.with_suffix(".json"))
    assert [(one["layer"], one["reason"]) for one in origin.edits] == [
        ("head", "first"),
        ("stem", "then"),
    ]
    assert {"head": "first", "stem": "then"}.items() <= origin.left_out.items()


def test_types_and_patterns_name_layers(project: Project) -> None:
    network = read_network(ready_table(project, "kl", feedback=Feedback()).fp32)
    layers = read_table(project.tables_dir / "kl.table").layers
    depthwise = {one for one in layers if network.param.layer(one).type == "ConvolutionDepthWise"}
    assert depthwise
    made = edited(project, fp32=("type:*DepthWise", "?eft"))
    assert {one.layer for one in made.changes} == {*depthwise, "left"}
    assert set(read_table(made.table).layers) == set(layers) - depthwise - {"left"}


def test_layers_that_share_an_int8_blob_get_one_threshold(project: Project) -> None:
    made = edited(project, thresholds={"left": 2.54})
    scales = read_table(made.table).activation_scales
    assert scales["left"] == scales["right"] == 50
    assert [one.reason for one in made.changes] == [None, "reads the same int8 blob as 'left'"]
    with pytest.raises(InputError, match="read one int8 blob: give both the same threshold"):
        edited(project, thresholds={"left": 2.54, "right": 3.0})
    apart = edited(project, fp32=("right",), thresholds={"left": 1.27})
    assert [one.layer for one in apart.changes] == ["right", "left"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing to change"),
        ({"fp32": ("conv_99",)}, r"'conv_99' matches no layer of table 'kl' \(there are"),
        ({"fp32": ("conv_9*",)}, r"'conv_9\*' matches no layer"),
        ({"fp32": ("type:Gemm",)}, "'type:Gemm' matches no layer"),
        ({"fp32": ("*",)}, "no layer would be left in int8"),
        ({"thresholds": {"conv_99": 1.0}}, "'conv_99' matches no layer"),
        ({"thresholds": {"ste*": 1.0}}, "takes the name of one layer"),
        ({"thresholds": {"stem": 0.0}}, "is not a positive finite number"),
        ({"thresholds": {"stem": -1.0}}, "is not a positive finite number"),
        ({"thresholds": {"stem": float("nan")}}, "is not a positive finite number"),
        ({"thresholds": {"stem": float("inf")}}, "is not a positive finite number"),
        ({"thresholds": {"stem": 1e12}}, "is written as 0.000000"),
        ({"thresholds": {"stem": 1e-40}}, "is not a finite float32"),
        ({"fp32": ("stem",), "thresholds": {"stem": 1.0}}, "to be in fp32 and to have a thresh"),
    ],
)
def test_what_cannot_be_edited_is_said_and_nothing_is_written(
    project: Project, asked: dict[str, Any], message: str
) -> None:
    before = sorted(project.tables_dir.iterdir())
    with pytest.raises(InputError, match=message):
        edited(project, **asked)
    assert sorted(project.tables_dir.iterdir()) == before


def test_a_table_is_not_replaced_unasked_and_never_its_parent(project: Project) -> None:
    made = edited(project, fp32=("head",))
    before = made.table.read_bytes()
    with pytest.raises(InputError, match="exists with other content"):
        edit_table(project, "kl", TableEdit(("stem",)), "mine", feedback=Feedback())
    assert made.table.read_bytes() == before
    edit_table(project, "kl", TableEdit(("head",)), "mine", feedback=Feedback())
    for table in ("mine", made.table):
        with pytest.raises(InputError, match="would replace the one that is edited"):
            edit_table(project, table, TableEdit(("stem",)), "mine", feedback=Feedback())


def test_an_edit_of_a_table_of_unknown_origin_says_so(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own.table"
    shutil.copy(project.tables_dir / "kl.table", own)
    notes: list[str] = []
    edit_table(project, own, TableEdit(("head",)), "mine", feedback=Feedback(note=notes.append))
    assert any("edited from own.table, of which there is no own.json" in one for one in notes)
    ready = ready_table(project, "mine", feedback=Feedback())
    assert ready.calibration_set is None
    assert ready.left_out["head"] == "taken out with 'quantkit table edit'"
    # It belongs to the network that was there.
    network = project.root / "model" / "net.bin"
    network.write_bytes(network.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(InputError, match=r"mine\.table: was made for another model"):
        ready_table(project, "mine", feedback=Feedback())


def test_a_line_that_no_table_may_have_can_be_taken_out(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own.table"
    scales = read_table(project.tables_dir / "kl.table").activation_scales["head"]
    text = (project.tables_dir / "kl.table").read_text()
    own.write_text(text.replace(f"head {scales:f}", "head inf"))
    made = edited(project, own, fp32=("head",))
    assert "head" not in read_table(made.table).activation_scales
    with pytest.raises(InputError, match=r"own\.table:\d+: .*inf"):
        edited(project, own, fp32=("stem",))


@pytest.mark.slow
def test_an_edited_table_keeps_its_network(project: Project) -> None:
    request = CalibrationRequest(
        selection=SMALL, recipe=Recipe(search=False, learning=0, rounding=False)
    )
    best = calibrate_model(project, request, feedback=Feedback())
    assert best.prepared != best.fp32
    edit = TableEdit(("head",))
    made = edit_table(project, "best", edit, "best-mixed", feedback=Feedback())
    assert made.table.with_suffix(".bin").read_bytes() == best.prepared.bin.read_bytes()
    ready = ready_table(project, "best-mixed", feedback=Feedback())
    assert ready.prepared.param == made.table.with_suffix(".param")
    made.table.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"belongs to the network best-mixed\.param, which is"):
        ready_table(project, "best-mixed", feedback=Feedback())


def test_a_calibration_is_not_satisfied_with_an_edited_table(project: Project) -> None:
    edited(project, fp32=("head",))
    request = CalibrationRequest("kl", selection=SMALL, name="mine")
    with pytest.raises(InputError, match="exists with other content"):
        calibrate_model(project, request, feedback=Feedback())
    described = json.loads((project.tables_dir / "mine.json").read_text())
    assert described["method"] == "kl"
