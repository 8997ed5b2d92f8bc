import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.export import to_onnx
from quantkit.model.export.onnx_file import opset
from quantkit.model.mmlab import build_pose_model, head_outputs
from quantkit.model.source import MMPoseSource
from tests.mmpose_configs import write_heatmap_config
from tests.oracles import mmpose_or_skip

pytestmark = pytest.mark.slow


@pytest.fixture
def without_mmdeploy(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "mmdeploy" else original(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.mark.usefixtures("without_mmdeploy")
def test_torch_alone_exports_where_mmdeploy_is_absent(tmp_path: Path) -> None:
    mmpose_or_skip()
    import onnxruntime
    import torch

    config = str(write_heatmap_config(tmp_path))
    target = tmp_path / "plain.onnx"
    assert to_onnx.convert(config, None, 4, str(target)) == ["heatmap"]
    assert "mmdeploy" not in to_onnx.exporter()
    batch = np.random.default_rng(0).normal(size=(1, 3, 96, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    (got,) = session.run(["heatmap"], {"image": batch})
    with torch.no_grad():
        model = build_pose_model(MMPoseSource(config, None, 4))
        (expected,) = head_outputs(model, torch.from_numpy(batch))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("place", ["train_dataloader", "current folder"])
def test_no_metainfo_file_beside_the_config_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    mmpose_or_skip()
    pytest.importorskip("mmdeploy")
    config = write_heatmap_config(tmp_path)
    evil = tmp_path / "configs" / "_base_" / "datasets" / "coco.py"
    evil.parent.mkdir(parents=True)
    evil.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()\ndataset_info = dict()\n")
    if place == "current folder":
        monkeypatch.chdir(tmp_path)
    else:
        dataset = f"dict(type='CocoDataset', metainfo=dict(from_file={str(evil)!r}))"
        config.write_text(f"{config.read_text()}\ntrain_dataloader = dict(dataset={dataset})\n")
    assert to_onnx.convert(str(config), None, 0, str(tmp_path / "model.onnx")) == ["heatmap"]
    assert not (tmp_path / "was_run").exists()


def test_a_wrong_config_is_named_by_the_child(tmp_path: Path) -> None:
    mmpose_or_skip()
    path = tmp_path / "evil.py"
    path.write_text("x = 1\nimport os\n")
    with pytest.raises(InputError, match=r"evil\.py:2: an mmpose config may hold data only"):
        to_onnx.mmpose_to_onnx(MMPoseSource(str(path), None), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_an_operator_that_needs_a_newer_opset_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mmpose_or_skip()
    pytest.importorskip("mmdeploy")
    from torch.onnx.errors import UnsupportedOperatorError

    original, tried = to_onnx._export_rewritten, []

    def lacking(*arguments: Any) -> None:
        tried.append(arguments[-1])
        if tried[-1] < 13:
            raise UnsupportedOperatorError("aten::unflatten", tried[-1], 13)
        original(*arguments)

    monkeypatch.setattr(to_onnx, "_export_rewritten", lacking)
    config, target = str(write_heatmap_config(tmp_path)), tmp_path / "model.onnx"
    to_onnx.convert(config, None, 0, str(target))
    assert (tried, opset(target)) == ([11, 13], 13)
    with pytest.raises(InputError, match=r"unflatten.*leave 'opset' out of \[model\] mmpose"):
        to_onnx.convert(config, None, 0, str(target), opset=11)
    tried.clear()
    to_onnx.convert(config, None, 0, str(target), opset=17)
    assert (tried, opset(target)) == ([17], 17)
