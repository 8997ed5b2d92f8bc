from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantkit.backends import BackendName
from quantkit.backends.export_report import ExportReport
from quantkit.errors import Unavailable
from quantkit.model.source import NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project import Project, artifacts
from quantkit.project.artifacts import backend_artifacts
from quantkit.project.evaluating import evaluate_backends
from tests.nets import INPUT, write_pair
from tests.projects import small_project
from tests.quantization.onnx_pairs import SHAPE, conv_pair

INT8: tuple[BackendName, ...] = ("ncnn-int8", "onnxruntime-int8", "openvino-int8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose model is an ONNX file that has been converted to ncnn already."""
    project = small_project(tmp_path / "project")
    pair = conv_pair(project.root / "net.onnx")
    files = write_pair(pair.ncnn, project.root, "converted")
    ncnn = NcnnFiles(files.param, files.bin, INPUT, ("head",))
    report = ExportReport(steps=(), onnx=pair.onnx, ncnn=ncnn, hashes={}, key="")
    monkeypatch.setattr(artifacts, "export_model", lambda *_: report)
    spec = replace(project.input, size=(SHAPE[2], SHAPE[1]))
    return replace(project, source=pair.onnx, input=spec)


def made(project: Project, feedback: Feedback | None = None) -> dict[str, OnnxFile]:
    found = backend_artifacts(project, INT8[1:], "minmax", 1, feedback or Feedback())
    files = {name: one for name, one in found.items() if isinstance(one, OnnxFile)}
    assert len(files) == 2, found
    return files


def kinds(file: OnnxFile) -> set[type]:
    """Types of the zero points of the activations."""
    graph = onnx.load(file.path).graph
    names = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    return {numpy_helper.to_array(x).dtype.type for x in graph.initializer if x.name in names}


def test_each_backend_gets_the_table_in_its_form(project: Project) -> None:
    files = made(project)
    assert files["openvino-int8"].path == project.work_dir / "minmax-int8-openvino.onnx"
    assert files["onnxruntime-int8"].path == project.work_dir / "minmax-int8-onnxruntime.onnx"
    plain = replace(files["openvino-int8"], path=project.work_dir / "minmax-int8.onnx")
    assert kinds(plain) == {np.int8}
    assert kinds(files["onnxruntime-int8"]) == {np.uint8}
    assert isinstance(project.source, OnnxFile)
    for file in files.values():
        assert replace(file, path=project.source.path) == project.source
        assert file.path.stat().st_size < project.source.path.stat().st_size


def test_an_unchanged_file_is_not_written_again(project: Project) -> None:
    before = {name: file.path.stat() for name, file in made(project).items()}
    after = {name: file.path.stat() for name, file in made(project).items()}
    for name, stat in before.items():
        assert (stat.st_ino, stat.st_mtime_ns) == (after[name].st_ino, after[name].st_mtime_ns)


def test_layers_that_stay_fp32_are_told(project: Project) -> None:
    assert isinstance(project.source, OnnxFile)
    model = onnx.load(project.source.path)
    tensor = next(x for x in model.graph.initializer if x.name == "net.2.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
    onnx.save(model, project.source.path)
    notes: list[str] = []
    made(project, Feedback(note=notes.append))
    reason = "no Conv, Gemm or MatMul of the ONNX file has its weights"
    for name in INT8[1:]:
        assert f"{name}: layer 'depthwise' stays fp32: {reason}" in notes


def test_a_network_given_as_an_ncnn_pair_has_no_onnx_form(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    found = backend_artifacts(project, INT8[1:], "kl", 1, Feedback())
    reason = "the model is given as an ncnn pair, which this backend cannot run"
    assert found == dict.fromkeys(INT8[1:], reason)
    assert not project.tables_dir.exists()


def test_without_a_conversion_there_is_no_int8(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object) -> None:
        message = "The conversion to ncnn needs 'pnnx'"
        raise Unavailable(message)

    monkeypatch.setattr(artifacts, "export_model", lacks)
    found = backend_artifacts(project, INT8, "kl", 1, Feedback())
    assert found == dict.fromkeys(INT8, "The conversion to ncnn needs 'pnnx'")


@pytest.mark.slow
def test_onnxruntime_stands_beside_ncnn_in_the_table(project: Project) -> None:
    names = ("onnxruntime", "onnxruntime-int8", "ncnn-int8")
    comparison = evaluate_backends(
        project, backends=names, table="minmax", labels=False, threads=1, feedback=Feedback()
    )
    assert [row.status for row in comparison.rows] == ["ok"] * 3
    assert [row.precision for row in comparison.rows] == ["fp32", "int8", "int8"]
    folder = project.work_dir / "eval"
    assert "(int8, table minmax)" in (folder / "onnxruntime-int8.log").read_text()
    # The baseline's keypoints, and those of one int8 network.
    picture = cv2.imread(str(folder / "predictions.png"))
    assert picture is not None
    assert picture.shape[0] == 2 * (160 + 18)


@pytest.mark.slow
def test_the_table_is_named_where_onnxruntime_alone_is_int8(project: Project) -> None:
    names = ("onnxruntime", "onnxruntime-int8")
    comparison = evaluate_backends(
        project, backends=names, table="minmax", labels=False, threads=1, feedback=Feedback()
    )
    assert comparison.table == "minmax"
    fp32 = evaluate_backends(
        project, backends=names[:1], labels=False, threads=1, feedback=Feedback()
    )
    assert fp32.table is None
