import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.backends import BACKENDS
from quantkit.errors import InputError, Unavailable
from quantkit.model.source import MMPoseSource, OnnxFile
from quantkit.progress import Feedback
from quantkit.project import Project, artifacts
from quantkit.project.artifacts import backend_artifacts, other_networks
from quantkit.project.evaluating import evaluate_backends
from tests.onnx_nets import SHAPE, foreign_int8, image_net, small_onnx
from tests.projects import small_project


def test_an_onnx_network_runs_as_it_is_where_it_cannot_be_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*arguments: object) -> None:
        message = "The conversion to ncnn needs 'pnnx'"
        raise Unavailable(message)

    monkeypatch.setattr(artifacts, "export_model", lacks)
    monkeypatch.setattr(artifacts, "export_model_to_onnx", lacks)
    given = small_onnx(tmp_path / "m.onnx")
    project = replace(small_project(tmp_path / "project"), source=given)
    found = backend_artifacts(project, BACKENDS, "kl", 1, Feedback())
    for name in ("onnxruntime", "openvino", "tensorrt"):
        assert found[name] == given
    for name in ("ncnn", "ncnn-int8"):
        assert found[name] == "The conversion to ncnn needs 'pnnx'"
    assert found["pytorch"] == "the model is given as ONNX, which this backend cannot run"


@pytest.fixture
def int8(tmp_path: Path) -> Project:
    """A project whose network another tool has made int8, and no calibration data."""
    project = small_project(tmp_path / "project")
    shutil.rmtree(project.calibration.images)
    source = foreign_int8(tmp_path / "int8.onnx")
    spec = replace(project.input, size=(SHAPE[2], SHAPE[1]))
    return replace(project, source=source, input=spec)


@pytest.mark.slow
def test_an_int8_network_of_another_tool_is_evaluated_as_one(int8: Project) -> None:
    notes: list[str] = []
    names = ("onnxruntime", "openvino", "ncnn-int8")
    rows = evaluate_backends(
        int8, backends=names, labels=False, threads=1, feedback=Feedback(note=notes.append)
    ).rows
    assert [(row.status, row.precision) for row in rows[:2]] == [("ok", "int8")] * 2
    assert rows[2].status == "unavailable"
    assert "int8 network already (1 QuantizeLinear, 2 DequantizeLinear)" in str(rows[2].reason)
    assert any("are not compared on calibration crops" in note for note in notes)


@pytest.mark.slow
def test_a_network_of_another_tool_stands_beside_the_projects(int8: Project) -> None:
    assert isinstance(int8.source, OnnxFile)
    also = int8.source.path
    fp32 = replace(int8, source=small_onnx(int8.root / "fp32.onnx"))
    rows = evaluate_backends(
        fp32, backends=("onnxruntime",), also=(also,), labels=False, threads=1, feedback=Feedback()
    ).rows
    assert [(row.backend, row.precision) for row in rows] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime:int8.onnx", "int8"),
    ]
    assert rows[1].oks_vs_baseline is not None
    assert rows[1].oks_vs_baseline < 1
    assert (fp32.work_dir / "eval" / "onnxruntime:int8.onnx.log").is_file()


def test_int8_rows_alone_need_calibration_data(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    project.calibration.annotations.unlink()
    found = backend_artifacts(project, ("ncnn", "ncnn-int8"), "kl", 1, Feedback())
    assert found["ncnn"] == project.source
    assert "no data to calibrate it on: " in str(found["ncnn-int8"])
    assert "train.json" in str(found["ncnn-int8"])
    with pytest.raises(InputError, match="there is no such table"):
        evaluate_backends(
            project, backends=("ncnn", "ncnn-int8"), table="typo", feedback=Feedback()
        )


@pytest.mark.slow
def test_files_that_do_not_fit_the_project_are_rows_that_say_so(
    int8: Project, tmp_path: Path
) -> None:
    project = replace(int8, source=small_onnx(tmp_path / "fp32.onnx"))
    fewer = small_onnx(tmp_path / "fewer.onnx", keypoints=5)
    larger = image_net(tmp_path / "larger.onnx", (1, 3, 64, 48), {"heatmap0": (17, 4)})
    pairs = image_net(tmp_path / "pairs.onnx", (2, 3, 32, 24), {"heatmap0": (17, 4)})
    comparison = evaluate_backends(
        project,
        backends=("onnxruntime",),
        also=[file.path for file in (fewer, larger, pairs)],
        threads=1,
        labels=False,
        feedback=Feedback(),
    )
    assert [row.status for row in comparison.rows] == ["ok", *["unavailable"] * 3]
    reasons = [str(row.reason) for row in comparison.rows[1:]]
    assert reasons[0].endswith("one output (17, height, width), the network gives [(5, 16, 12)]")
    assert "takes an input of shape (3, 64, 48), got (3, 32, 24)" in reasons[1]
    assert "fixes the batch at 2" in reasons[2]


def test_a_file_to_compare_with_is_looked_at_before_anything_is_made(
    int8: Project, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx: does not exist"):
        evaluate_backends(
            int8,
            backends=("onnxruntime",),
            also=[tmp_path / "absent.onnx"],
            labels=False,
            feedback=Feedback(),
        )
    assert not int8.work_dir.exists()


def test_what_cannot_be_compared_is_refused(int8: Project, tmp_path: Path) -> None:
    two = small_onnx(tmp_path / "two.onnx", outputs=2).path
    assert isinstance(int8.source, OnnxFile)
    with pytest.raises(InputError, match=r"two\.onnx: has 2 outputs"):
        other_networks(replace(int8, source=replace(int8.source, outputs=("another",))), [two])
    with pytest.raises(InputError, match="another file of this name"):
        other_networks(int8, [int8.source.path] * 2)
    with pytest.raises(InputError, match="does not exist"):
        other_networks(int8, [tmp_path / "absent.onnx"])


def test_a_missing_mmpose_is_the_reason_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object) -> None:
        message = "needs 'mmpose'"
        raise Unavailable(message)

    for name in ("source_content", "export_model", "export_model_to_onnx"):
        monkeypatch.setattr(artifacts, name, lacks)
    source = MMPoseSource("td-hm_x", None)
    project = replace(small_project(tmp_path / "project"), source=source)
    found = backend_artifacts(project, BACKENDS, "kl", 1, Feedback())
    assert found.pop("pytorch") == source
    assert set(found.values()) == {"needs 'mmpose'"}
