"""A network whose outputs no head decodes goes by the SQNR of its outputs all the way."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from quantkit.errors import InputError
from quantkit.evaluation.decode import decode
from quantkit.evaluation.head import HeadSpec
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.mixing import MixRequest, mix_table
from quantkit.project.ranking import rank_layers
from quantkit.project.reporting import write_report
from quantkit.project.selection_request import SelectionRequest
from quantkit.report.sensitivity import sensitivity_table
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.search_report import Bounds
from tests.projects import PROJECT, small_project

BOTH = ("ncnn", "ncnn-int8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("bare") / "project"
    small_project(folder)
    (folder / "quantkit.toml").write_text(PROJECT.replace('type = "heatmap"', 'type = "none"'))
    project = load_project(folder)
    chosen = CalibrationRequest("kl", selection=SelectionRequest(count=4, strategy="random"))
    calibrate_model(project, chosen, feedback=Feedback())
    return project


def test_nothing_is_decoded_whatever_the_outputs_are(project: Project) -> None:
    assert (project.head.keypoints, project.head.has_sigmas) == (0, False)
    outputs = [np.ones(3, np.float32), np.ones((2, 5), np.float32)]
    keypoints, scores = decode(outputs, HeadSpec(type="none", keypoints=0), project.input)
    assert (keypoints.shape, scores.shape) == ((0, 2), (0,))


@pytest.mark.slow
def test_backends_are_compared_by_sqnr_and_again_from_what_was_kept(project: Project) -> None:
    def rows() -> list[tuple[object, ...]]:
        found = evaluate_backends(
            project, backends=BOTH, table="kl", labels=False, feedback=Feedback()
        )
        return [
            (row.status, row.sqnr_db, row.keypoint_distance_mean, row.oks_vs_baseline)
            for row in found.rows
        ]

    first = rows()
    status, decibels, distance, similarity = first[1]
    assert (status, distance, similarity) == ("ok", None, None)
    assert isinstance(decibels, tuple)
    assert 10 < decibels[0] < 60
    assert rows() == first


@pytest.mark.slow
def test_layers_are_ranked_and_reported(project: Project) -> None:
    report = rank_layers(project, table="kl", effort=Effort(2, 64, 3), feedback=Feedback())
    assert all(layer.alone.sqnr_db is not None for layer in report.layers)
    assert all(layer.alone.peak_shift_px is None for layer in report.layers)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(sensitivity_table(report))
    assert "px" not in shown.get()
    assert "OKS" not in shown.get()
    pytest.importorskip("matplotlib")
    assert "ncnn" in write_report(project, feedback=Feedback()).read_text()


def test_labels_and_a_bound_of_the_ap_are_refused_at_once(project: Project) -> None:
    with pytest.raises(InputError, match="this network has none that are read: use --no-labels"):
        evaluate_backends(project, backends=BOTH, table="kl", feedback=Feedback())
    with pytest.raises(InputError, match="none that are read: use --min-sqnr"):
        mix_table(project, MixRequest("kl", bounds=Bounds(max_drop=0.002)), feedback=Feedback())


def test_a_decoding_of_no_head_is_refused(tmp_path: Path) -> None:
    text = PROJECT.replace('type = "heatmap"', 'type = "none"\ndecode = "dark"')
    (tmp_path / "quantkit.toml").write_text(text)
    with pytest.raises(InputError, match=r"\[head\] decode: expected one of default"):
        load_project(tmp_path)
