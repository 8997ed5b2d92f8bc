"""Tables that no `.json` vouches for: used all the same, with what cannot be said of them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.evaluation.comparison import read_comparison
from quantkit.model.eligibility import quantized_layers
from quantkit.model.network import read_network, write_network
from quantkit.model.weights import LayerWeights, Record
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.calibrating import calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.quantizing import quantize_model
from quantkit.project.ranking import rank_layers
from quantkit.project.reporting import report_contents
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.table_location import find_table, table_label, table_reference
from quantkit.sensitivity.plan import Effort
from quantkit.storage import sha256_file
from tests.projects import small_project

FEW = Effort(crops=2, ap_crops=0, ap_layers=0)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = small_project(tmp_path_factory.mktemp("own") / "project")
    request = CalibrationRequest("kl", selection=SelectionRequest(count=4))
    calibrate_model(project, request, feedback=Feedback())
    return project.root


@pytest.fixture
def project(calibrated: Path, tmp_path: Path) -> Project:
    shutil.copytree(calibrated, tmp_path / "project")
    return load_project(tmp_path / "project")


def kl(project: Project) -> Path:
    return project.tables_dir / "kl.table"


def without(project: Project, layer: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(read_table(kl(project)).without([layer]).text())
    return path


@pytest.mark.parametrize("name", ["own", "v1.2 own", "größe", "kl.v2"])
def test_a_name_is_a_table_of_the_project_wherever_it_is_asked_from(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = project.tables_dir / f"{name}.table"
    shutil.copy(kl(project), there)
    for folder in (project.root, project.tables_dir, tmp_path):
        monkeypatch.chdir(folder)
        relative = os.path.relpath(there)
        spelled = relative if os.sep in relative else f"./{relative}"
        for table in (name, spelled, there):
            assert find_table(project, table) == there
            assert table_label(project, find_table(project, table)) == name
    assert ready_table(project, name, feedback=Feedback()).int8.param.name == f"{name}-int8.param"


def test_a_file_in_the_current_folder_needs_no_separator(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_table(project, "kl.table") == kl(project)
    shutil.copy(kl(project), tmp_path / "kl.table")
    own = find_table(project, "kl.table")
    assert own.resolve() == (tmp_path / "kl.table").resolve()
    assert table_label(project, own) == "kl.table"
    assert table_reference(project, own) == "../kl.table"
    assert find_table(project, "kl") == kl(project)


@pytest.mark.parametrize("table", ["missing", "./missing.table", "best.v2"])
def test_a_missing_table_names_those_that_are_there(project: Project, table: str) -> None:
    shutil.copy(kl(project), project.tables_dir / "own.table")
    with pytest.raises(InputError, match="no such table; the project has kl, own, and can make"):
        ready_table(project, table, feedback=Feedback())
    with pytest.raises(InputError, match="no such table; the project has kl, own"):
        quantize_model(project, table, Feedback())


def test_two_tables_of_one_name_do_not_mix_and_nothing_is_copied(
    project: Project, tmp_path: Path
) -> None:
    first = without(project, "stem", tmp_path / "a" / "own.table")
    second = without(project, "head", tmp_path / "b" / "own.table")
    before = sorted(project.tables_dir.iterdir())
    made = [ready_table(project, one, feedback=Feedback()).int8 for one in (first, second)]
    assert made[0].param != made[1].param
    assert sha256_file(first)[:12] in made[0].param.name
    for files, layer in zip(made, ("stem", "head"), strict=True):
        layers = quantized_layers(read_network(files))
        assert set(read_table(kl(project)).layers) - set(layers) == {layer}
    assert sorted(project.tables_dir.iterdir()) == before


@pytest.mark.slow
def test_an_edited_table_of_a_method_is_measured_as_it_is_with_a_note(project: Project) -> None:
    names = ("ncnn", "ncnn-int8")
    calibrated = evaluate_backends(project, backends=names, table="kl", feedback=Feedback())
    assert calibrated.table_note is None
    without(project, "head", kl(project))
    notes: list[str] = []
    edited = evaluate_backends(
        project, backends=names, table="kl", feedback=Feedback(note=notes.append)
    )
    assert edited.table_note is not None
    assert "edited after kl.json was written" in edited.table_note
    assert "whether evaluation data were among them" in edited.table_note
    assert any(note.startswith("table kl: origin unknown") for note in notes)
    assert edited.table_sha256 == sha256_file(kl(project)) != calibrated.table_sha256
    assert edited.rows[1].oks_vs_baseline != calibrated.rows[1].oks_vs_baseline
    folder = project.work_dir / "eval"
    assert "origin unknown" in (folder / "eval.md").read_text()
    assert "origin unknown" in (folder / "ncnn-int8.log").read_text()
    assert "origin unknown" not in (folder / "ncnn.log").read_text()
    assert read_comparison(folder / "eval.json").table_note == edited.table_note
    # Its own crops are still those that the .json names.
    assert ready_table(project, "kl", feedback=Feedback()).calibration_set is not None


@pytest.mark.slow
def test_layers_of_a_table_of_unknown_origin_are_ranked_on_the_default_set(
    project: Project, tmp_path: Path
) -> None:
    own = without(project, "stem", tmp_path / "own.table")
    notes: list[str] = []
    report = rank_layers(project, table=own, effort=FEW, feedback=Feedback(note=notes.append))
    assert report.calibration_set == "small-random-12-seed0"
    assert any("default random set" in note for note in notes)
    assert (report.table, report.table_file) == ("own.table", "../own.table")
    assert "there is no own.json beside it" in (report.table_note or "")
    assert report.left_out == ("stem",)
    written = json.loads((project.work_dir / "sensitivity.json").read_text())
    assert written["table_note"] == report.table_note
    # Another table of that name is another ranking.
    without(project, "head", own)
    again = rank_layers(project, table=own, effort=FEW, feedback=Feedback())
    assert again.table_sha256 != report.table_sha256
    assert [one.name for one in again.layers] != [one.name for one in report.layers]
    named = rank_layers(
        project, table=own, calib_set="small-random-4-seed0", effort=FEW, feedback=Feedback()
    )
    assert named.calibration_set == "small-random-4-seed0"


@pytest.mark.slow
def test_a_report_shows_what_a_table_elsewhere_measured(project: Project, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    own = without(project, "stem", tmp_path / "own.table")
    rank_layers(project, table=own, effort=FEW, feedback=Feedback())
    contents = report_contents(project, feedback=Feedback())
    assert contents.ranking is not None
    assert contents.ranking.table == "own.table"
    assert [view.name for view in contents.views] == [
        layer.name for layer in contents.ranking.layers[:4]
    ]


def test_the_network_beside_a_table_is_its_own(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own.table"
    shutil.copy(kl(project), own)
    network = read_network(ready_table(project, "kl", feedback=Feedback()).fp32)
    records = network.weights["head"].records
    doubled = LayerWeights({**records, "bias": Record(records["bias"].values() * 2)})
    other = network.replaced({}, {"head": doubled})
    write_network(other, tmp_path / "own.param", tmp_path / "own.bin")
    ready = ready_table(project, own, feedback=Feedback())
    assert ready.prepared.param == tmp_path / "own.param"
    int8 = read_network(ready.int8)
    assert (int8.weights["head"]["bias"] == network.weights["head"]["bias"] * 2).all()


def test_a_json_that_names_another_network_is_believed_of_an_edited_table(
    project: Project,
) -> None:
    beside = kl(project).with_suffix(".json")
    text = beside.read_text()
    described = json.loads(text)
    sha = described["network_sha256"]
    without(project, "stem", kl(project))
    for changed in (
        text.replace(sha, "0" * 64),
        text.replace(f'"network_sha256": "{sha}"', f'"network_sha256": "{"0" * 64}"'),
    ):
        beside.write_text(changed)
        for use in (ready_table, quantize_model):
            with pytest.raises(InputError, match=r"kl\.table: .*remove kl\.json if it is not"):
                use(project, "kl", feedback=Feedback())
    beside.unlink()
    assert ready_table(project, "kl", feedback=Feedback()).origin.unknown is not None


def test_a_json_that_describes_no_table_is_none(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own.table"
    shutil.copy(kl(project), own)
    own.with_suffix(".json").write_text('{"images": []}')
    origin = ready_table(project, own, feedback=Feedback()).origin
    assert origin.unknown == "own.json does not describe a table"
