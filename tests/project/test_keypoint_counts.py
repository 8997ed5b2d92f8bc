"""Networks of any number of keypoints, from the project file to the figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends import BackendName, open_runner
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import InputError
from quantkit.evaluation.comparison import Comparison, Row, read_comparison
from quantkit.evaluation.decode import decode
from quantkit.evaluation.oks import KEYPOINT_NAMES
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.artifacts import backend_artifacts
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.selection_request import SelectionRequest
from tests.projects import small_project

pytestmark = pytest.mark.slow

BOTH: tuple[BackendName, ...] = ("ncnn", "ncnn-int8")
COUNTS = (5, 17, 21, 133)


def compared(project: Project) -> Comparison:
    return evaluate_backends(
        project, backends=BOTH, table="kl", labels=False, threads=1, feedback=Feedback()
    )


@pytest.fixture(scope="module", params=COUNTS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("counts") / "project"
    project = small_project(folder, keypoints=request.param)
    chosen = CalibrationRequest("kl", selection=SelectionRequest(count=4, strategy="random"))
    calibrate_model(project, chosen, feedback=Feedback())
    return project


@pytest.fixture(scope="module")
def comparison(project: Project) -> Comparison:
    return compared(project)


def outputs_of(project: Project, name: BackendName) -> tuple[Any, Any]:
    """Run every person of `val`; gives the raw outputs and the keypoints in input pixels."""
    artifacts = backend_artifacts(project, BOTH, "kl", 1, Feedback())
    artifact = artifacts[name]
    assert not isinstance(artifact, str)
    persons = load_dataset(project.val.annotations, project.val.images, keypoints=False).persons
    shown = [crop.tensor for crop in crops(persons, project.input)]
    with open_runner(name, artifact, threads=1) as runner:
        outputs = [one for (one,) in runner.stream(shown)]
    inside = [decode([one], project.head, project.input)[0] for one in outputs]
    return np.array(outputs, np.float64), np.array(inside, np.float64)


def test_outputs_and_keypoints_are_compared_with_the_baselines(
    project: Project, comparison: Comparison
) -> None:
    reference, points = outputs_of(project, "ncnn")
    got, moved = outputs_of(project, "ncnn-int8")
    expected = 10 * np.log10((reference**2).sum() / ((reference - got) ** 2).sum())
    distances = np.sqrt(((points - moved) ** 2).sum(axis=2))
    row = comparison.row("ncnn-int8")
    assert list(row.sqnr_db or ()) == [pytest.approx(expected, abs=1e-3)]
    assert row.keypoint_distance_mean == pytest.approx(distances.mean(), abs=1e-3)
    assert row.keypoint_distance_p95 == pytest.approx(np.quantile(distances, 0.95), abs=1e-3)
    assert distances.mean() > 0
    assert list((row.keypoint_distance or {}).values()) == pytest.approx(
        distances.mean(axis=0), abs=1e-3
    )
    baseline = comparison.row("ncnn")
    assert (baseline.sqnr_db, baseline.keypoint_distance_p95) == ((np.inf,), 0.0)


def test_oks_is_known_of_cocos_17_keypoints_alone(project: Project, comparison: Comparison) -> None:
    row = comparison.row("ncnn-int8")
    names = list(row.keypoint_distance or {})
    if project.head.keypoints == 17:
        assert row.oks_vs_baseline is not None
        assert names == list(KEYPOINT_NAMES)
    else:
        assert (row.oks_vs_baseline, row.keypoint_oks_vs_baseline) == (None, None)
        assert names == [str(k) for k in range(project.head.keypoints)]


def test_the_file_holds_what_was_compared(project: Project, comparison: Comparison) -> None:
    folder = project.work_dir / "eval"
    assert read_comparison(folder / "eval.json") == comparison
    fp32, int8 = json.loads((folder / "eval.json").read_text())["rows"]
    assert fp32["sqnr_db"] == ["exact"]
    assert int8["sqnr_db"] == list(comparison.row("ncnn-int8").sqnr_db or ())
    assert (folder / "predictions.png").stat().st_size > 0
    log = (folder / "ncnn-int8.log").read_text()
    assert f"{comparison.row('ncnn-int8').keypoint_distance_mean:.3f} px" in log


def timeless(comparison: Comparison) -> list[Row]:
    return [replace(row, ms_per_instance=None) for row in comparison.rows]


def test_a_repeated_evaluation_shows_the_same(project: Project, comparison: Comparison) -> None:
    assert timeless(compared(project)) == timeless(comparison)
    for path in (project.work_dir / "eval").glob("*.outputs.npz"):
        path.write_bytes(b"PK torn")
    assert timeless(compared(project)) == timeless(comparison)


def test_an_evaluation_against_labels_ends_before_any_work(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project", keypoints=21)
    said = r"knows COCO's 17 keypoints, this network has 21: use --no-labels$"
    with pytest.raises(InputError, match=said):
        evaluate_backends(project, backends=BOTH, feedback=Feedback())
    assert not project.work_dir.exists()


def test_the_flip_test_is_refused_when_the_project_is_read(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project", keypoints=21)
    said = "flip test knows the pairs of COCO's 17 keypoints, this network has 21"
    with pytest.raises(InputError, match=said):
        load_project(project.root, flip_test=True)
    path = project.root / "quantkit.toml"
    path.write_text(path.read_text().replace("[head]\n", "[head]\nflip_test = true\n"))
    with pytest.raises(InputError, match=said):
        load_project(project.root)
