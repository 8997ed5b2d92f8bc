"""What works without a single optional package."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

OPTIONAL = (
    "torch", "torchvision", "pnnx", "mmengine", "mmcv", "mmdet", "mmpose", "mmdeploy", "openvino",
    "tensorrt", "cuda", "matplotlib",
)  # fmt: skip

Run = Callable[[str], str]


@pytest.fixture
def core_only(tmp_path: Path) -> Run:
    """Run code in a Python, with all its children, in which no optional package can be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_module_but_the_demos_backbone_can_be_imported(core_only: Run) -> None:
    out = core_only(
        "import importlib, pkgutil, quantkit\n"
        "for module in pkgutil.walk_packages(quantkit.__path__, 'quantkit.'):\n"
        "    if module.name not in ('quantkit.__main__', 'quantkit.demo.backbone'):\n"
        "        importlib.import_module(module.name); print(module.name)\n"
    )
    assert len(out.split()) > 100


def test_the_command_line_loads_no_heavy_package_before_it_is_needed(core_only: Run) -> None:
    heavy = ("cv2", "onnx", "ncnn", "onnxruntime", "pycocotools")
    code = f"import sys, quantkit.cli; print([n for n in {heavy!r} if n in sys.modules])"
    assert core_only(code).strip() == "[]"


def test_doctor_names_what_is_missing_and_how_to_get_it(core_only: Run) -> None:
    code = "import sys; sys.argv = ['quantkit', 'doctor', '--json']\nimport quantkit.__main__ as q"
    backends = json.loads(core_only(f"{code}; q.main()"))["backends"]
    assert backends["ncnn"]["status"] == backends["onnxruntime"]["status"] == "ok"
    assert backends["openvino"]["reason"].endswith("pip install 'quantkit[openvino]'")
    assert backends["pytorch"]["reason"].endswith("pip install 'quantkit[mmpose]'")
