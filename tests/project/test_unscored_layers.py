"""Layers and table sizes of a network that has no OKS and no AP: 21 keypoints."""

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.calibrating import calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.curving import measure_curve
from quantkit.project.mixing import MixRequest, mix_table
from quantkit.project.ranking import rank_layers
from quantkit.project.selection_request import SelectionRequest
from quantkit.report.curve import curve_table
from quantkit.report.html_curve import sizes_table
from quantkit.report.html_ranking import ranking_sentence, ranking_tables
from quantkit.report.html_tables import search_sentences, tried_table
from quantkit.report.plots.curve import draw_curve
from quantkit.report.plots.pareto import draw_pareto
from quantkit.report.plots.ranking import draw_ranking
from quantkit.report.search import search_table
from quantkit.report.sensitivity import sensitivity_table
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.report import read_report
from quantkit.sensitivity.search_report import Bounds
from quantkit.stability.report import read_curve
from tests.project.test_mixing import phone
from tests.projects import small_project

pytestmark = pytest.mark.slow

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = small_project(tmp_path_factory.mktemp("unscored") / "project", keypoints=21)
    chosen = CalibrationRequest("kl", selection=SelectionRequest(count=4, strategy="random"))
    calibrate_model(project, chosen, feedback=Feedback())
    return project


def printed(drawn: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(drawn)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_layers_are_ranked_without_oks_and_ap(project: Project) -> None:
    notes: list[str] = []
    report = rank_layers(
        project, table="kl", effort=Effort(2, 64, 3), feedback=Feedback(note=notes.append)
    )
    assert any("this network has 21: ranked without them" in note for note in notes)
    assert (report.ap_crops, report.labels, report.rank_agreement) == (0, None, None)
    effects = [layer.alone for layer in report.layers]
    assert {(one.oks_drop, one.ap_drop) for one in effects} == {(None, None)}
    assert all(one.sqnr_db and one.peak_noise_db for one in effects)
    assert any(one.peak_shift_p95_px for one in effects)
    peaks = [one.peak_noise_db or 0 for one in effects]
    assert peaks == sorted(peaks)
    assert any(layer.advice for layer in report.layers)
    assert read_report(project.work_dir / "sensitivity.json") == report
    words = printed(sensitivity_table(report))
    page = " ".join([ranking_sentence(report), *ranking_tables(report)])
    for text in (words, page):
        assert "px mean, 95 %" in text
        assert "OKS" not in text
        assert "AP drop" not in text
    assert draw_ranking(report).startswith(PNG)


def test_a_bound_on_the_ap_is_refused_before_any_work(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project", keypoints=21)
    request = MixRequest("kl", bounds=Bounds(0.01, 25.0))
    with pytest.raises(InputError, match=r"this network has 21: use --min-sqnr$"):
        mix_table(project, request, feedback=Feedback())
    assert not project.work_dir.exists()
    assert not project.tables_dir.exists()


def test_the_fastest_mix_is_found_by_sqnr(project: Project) -> None:
    base = ready_table(project, "kl", feedback=Feedback())
    request = MixRequest("kl", bounds=Bounds(None, 5.0), latency=phone(base, project.root))
    report = mix_table(project, request, feedback=Feedback())
    found = report.confirmed
    assert found is not None
    assert (found.ap, found.ap_drop, found.oks_vs_fp32) == (None, None, None)
    assert found.keypoint_distance_p95 is not None
    words = printed(search_table(report))
    page = " ".join([*search_sentences(report), tried_table(report)])
    for text in (words, page):
        assert "mean px" in text
        assert "px of the network's input from fp32's" in text
        assert "AP drop" not in text
    assert draw_pareto(report).startswith(PNG)


def test_a_curve_is_measured_by_sqnr(project: Project) -> None:
    report = measure_curve(project, seeds=2, sizes=(1, 2), held_out=2, feedback=Feedback())
    assert report.fp32_ap is None
    assert {(one.oks, one.ap_drop) for one in report.points} == {(None, None)}
    assert all(one.sqnr_db for one in report.points)
    assert read_curve(project.work_dir / "curve.json") == report
    for text in (printed(curve_table(report)), sizes_table(report)):
        assert "SQNR" in text
        assert "AP" not in text
        assert "OKS" not in text
    assert draw_curve(report).startswith(PNG)
