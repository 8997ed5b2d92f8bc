import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends import BACKENDS
from quantkit.backends.ncnn import NcnnSession
from quantkit.backends.sessions import probe
from quantkit.errors import Unavailable
from quantkit.model.export.native import python_environment
from quantkit.model.source import NcnnFiles
from tests.nets import small_network, write_pair

OPTIONAL = ("torch", "mmpose", "mmengine", "openvino", "onnxsim", "tensorrt", "matplotlib")


def test_backends_import_without_any_optional_package() -> None:
    heavy = (*OPTIONAL, "onnx", "onnxruntime", "ncnn", "cv2", "pycocotools")
    code = f"""if True:
        import sys
        import quantkit.backends.worker
        loaded = set(sys.modules) & set({heavy!r})
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", code], check=True, env=python_environment())


@pytest.mark.parametrize(
    ("name", "package"),
    [("pytorch", "torch"), ("openvino", "openvino"), ("tensorrt", "tensorrt")],
)
def test_a_missing_package_is_named_with_its_remedy(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert name in BACKENDS
    with pytest.raises(Unavailable, match=rf"needs '{package}': pip install 'quantkit\[\w+\]'"):
        probe(name)


def test_the_input_shape_is_read_from_the_param(tmp_path: Path) -> None:
    files = write_pair(small_network(np.random.default_rng(0)), tmp_path)
    assert NcnnSession.load(files, 1).input_shape == (3, None, None)
    text = files.param.read_text().replace("1 data\n", "1 data 0=48 1=64 2=3\n", 1)
    files.param.write_text(text)
    assert NcnnSession.load(files, 1).input_shape == (3, 64, 48)


def test_simcc_vectors_lose_the_batch_axis_that_pnnx_leaves(tmp_path: Path) -> None:
    files = NcnnFiles(tmp_path / "n.param", tmp_path / "n.bin", "data", ("x", "y"))
    files.param.write_text(
        "7767517\n4 5\nInput data 0 1 data\nSplit fork 1 2 data a b\n"
        "Reshape horizontal 1 1 a x 0=4 1=6 2=1\nReshape vertical 1 1 b y 0=2 1=12 2=1\n"
    )
    files.bin.write_bytes(b"")
    outputs = NcnnSession.load(files, 1).run(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    assert [output.shape for output in outputs] == [(6, 4), (12, 2)]
    np.testing.assert_array_equal(outputs[0].ravel(), np.arange(24))
