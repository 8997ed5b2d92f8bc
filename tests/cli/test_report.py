"""`quantkit report`, in this process, on a small project measured in every way."""

import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import pytest

from quantkit.cli import main
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.exporting import network_at_hand
from quantkit.project.ranking import rank_layers
from quantkit.project.selection_request import SelectionRequest
from quantkit.report.html_markup import breakable
from quantkit.sensitivity.plan import Effort
from quantkit.storage import sha256_file, write_atomically
from tests.projects import small_project
from tests.report.measured import search
from tests.stability import made_up

pytestmark = pytest.mark.slow

PICTURES = [
    *("ap_drops.png", "curve.png", "histograms.png", "pareto.png", "ranking.png", "weights.png"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = small_project(tmp_path_factory.mktemp("report") / "project")
    calibrate_model(
        project, CalibrationRequest("kl", selection=SelectionRequest(count=8)), feedback=Feedback()
    )
    rank_layers(project, table="kl", effort=Effort(2, 0, 0), workers=1, feedback=Feedback())
    evaluate_backends(project, backends=["ncnn", "ncnn-int8"], table="kl", feedback=Feedback())
    found = replace(search(), table="kl", table_sha256=sha256_file(project.tables_dir / "kl.table"))
    (project.work_dir / "search.json").write_text(found.text())
    curve = replace(made_up.report(), model_sha256=network_at_hand(project) or "")
    (project.work_dir / "curve.json").write_text(curve.text())
    return project.root


@pytest.fixture
def project(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    pytest.importorskip("matplotlib")
    shutil.copytree(measured, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return load_project(tmp_path / "project")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["quantkit", "report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_what_was_measured_becomes_a_page_and_pictures_always_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "report    work_dirs/small/report.html"
    assert [Path(one).name for one in printed.out.splitlines()[1:]] == PICTURES
    assert "missing" not in printed.err
    first = {name: sha256_file(project.work_dir / "report" / name) for name in PICTURES}
    for name in PICTURES:
        assert cv2.imread(str(project.work_dir / "report" / name)) is not None
    page = (project.work_dir / "report.html").read_text()
    ranking = json.loads((project.work_dir / "sensitivity.json").read_text())
    for layer in ranking["layers"]:
        assert f"<td>{breakable(layer['name'])}</td>" in page
    rows = json.loads((project.work_dir / "eval" / "eval.json").read_text())["rows"]
    assert f"{rows[1]['ap']:.4f}" in page
    assert "collected again from 8 calibration crops" in page
    assert "Recommended: 16 crops." in page
    assert str(project.root) not in page
    assert run(monkeypatch, "--threads", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(project.work_dir / "report.html")
    assert {Path(one).name: sha256_file(Path(one)) for one in found["pictures"]} == first
    assert (project.work_dir / "report.html").read_text() == page


def test_what_is_not_measured_is_named_with_its_command_and_has_no_picture(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_atomically(project.work_dir / "report" / "pareto.png", b"of an earlier search")
    (project.work_dir / "search.json").unlink()
    (project.work_dir / "curve.json").unlink()
    (project.work_dir / "eval" / "eval.json").unlink()
    (project.tables_dir / "kl.table").unlink()
    assert run(monkeypatch) == 0
    notes = capsys.readouterr().err
    assert "the backends: not measured; made by: quantkit eval --all-backends" in notes
    assert "the fastest mix: not measured; made by: quantkit sensitivity --max-drop" in notes
    assert "how many crops a table needs: not measured; made by: quantkit select --curve" in notes
    assert "the worst layers from inside: tables/small/kl.table: the table of the ranking" in notes
    assert [one.name for one in (project.work_dir / "report").iterdir()] == ["ranking.png"]
    page = (project.work_dir / "report.html").read_text()
    assert "<code>quantkit eval --all-backends</code>" in page
    assert "tables/small/kl.table: the table of the ranking is not there any more" in page


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("search.json", "{", "search.json:1: is not JSON"),
        ("search.json", "[]", "search.json: is not a search"),
        ("search.json", json.dumps({"schema": 9, **asdict(search())}), "is of another version"),
        ("sensitivity.json", '{"schema": 1}', "sensitivity.json: has schema 1"),
        ("eval/eval.json", "{}", "eval.json: is not an evaluation"),
        ("curve.json", "{}", "curve.json: is no curve of schema 1; measure it again"),
        ("curve.json", made_up.report().text(), "belongs to another network than the present one"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_rest_is_shown(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    text: str,
    reason: str,
) -> None:
    monkeypatch.setattr("quantkit.project.reporting.worst_views", lambda *_, **__: ())
    (project.work_dir / file).write_text(text)
    assert run(monkeypatch) == 0
    assert reason in capsys.readouterr().err
    left = {one.name for one in (project.work_dir / "report").iterdir()}
    gone = {
        "search.json": "pareto.png",
        "sensitivity.json": "ranking.png",
        "eval/eval.json": "ap_drops.png",
        "curve.json": "curve.png",
    }
    assert left == set(gone.values()) - {gone[file]}


def test_histograms_of_another_table_than_the_ranked_one_are_not_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.work_dir / "sensitivity.json"
    ranking = json.loads(path.read_text())
    for key, reason in (
        ("table_sha256", "is another table than the layers were ranked with"),
        ("model_sha256", "belongs to another network than the one that was ranked"),
    ):
        path.write_text(json.dumps({**ranking, key: "0" * 64}))
        assert run(monkeypatch) == 0
        assert reason in capsys.readouterr().err
        assert not (project.work_dir / "report" / "histograms.png").exists()


def test_a_curve_alone_is_a_report_and_goes_when_the_network_is_another(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("search.json", "sensitivity.json", "eval/eval.json"):
        (project.work_dir / name).unlink()
    assert run(monkeypatch) == 0
    assert [one.name for one in (project.work_dir / "report").iterdir()] == ["curve.png"]
    assert "Two disjoint sets of 32" in (project.work_dir / "report.html").read_text()
    capsys.readouterr()
    assert isinstance(project.source, NcnnFiles)
    project.source.bin.unlink()
    assert run(monkeypatch) == 0
    reason = "work_dirs/small/curve.json: is of some network, but the present one is not exported"
    assert reason in capsys.readouterr().err
    assert not list((project.work_dir / "report").iterdir())
    assert reason in (project.work_dir / "report.html").read_text()


def test_nothing_measured_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project.work_dir)
    assert run(monkeypatch) == 2
    line = capsys.readouterr().err
    assert "nothing has been measured of small: run 'quantkit eval --all-backends'" in line
    assert not project.work_dir.exists()


def test_without_matplotlib_it_says_how_to_install_it(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(monkeypatch, "--project", str(measured)) == 3
    assert "A report needs 'matplotlib': pip install 'quantkit[report]'" in capsys.readouterr().err
    assert not list(measured.rglob("report*"))
