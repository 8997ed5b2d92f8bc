from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.backends import BACKENDS
from quantkit.errors import Unavailable
from quantkit.model.source import OnnxFile
from quantkit.progress import Feedback
from quantkit.project import artifacts
from quantkit.project.artifacts import backend_artifacts
from tests.projects import small_project


def test_an_onnx_network_runs_as_it_is_where_it_cannot_be_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*arguments: object) -> None:
        message = "The conversion to ncnn needs 'pnnx'"
        raise Unavailable(message)

    monkeypatch.setattr(artifacts, "export_model", lacks)
    given = OnnxFile(tmp_path / "m.onnx", "image", ("heatmap",))
    project = replace(small_project(tmp_path / "project"), source=given)
    found = backend_artifacts(project, BACKENDS, "kl", 1, Feedback())
    for name in ("onnxruntime", "openvino", "tensorrt"):
        assert found[name] == given
    for name in ("ncnn", "ncnn-int8"):
        assert found[name] == "The conversion to ncnn needs 'pnnx'"
    assert found["pytorch"] == "the model is given as ONNX, which this backend cannot run"
