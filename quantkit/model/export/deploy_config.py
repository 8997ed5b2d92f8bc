"""The mmdeploy configuration of an export; mmdeploy's wheel ships none."""

from typing import Any, Final

from quantkit.model.mmlab.config import shipped_folder
from quantkit.model.mmlab.spec import MMPoseSpec

OPSETS: Final = (11, 13, 17)
"""Versions of ONNX's operators, tried in turn; the first is mmdeploy's own choice for mmpose."""

INPUT: Final = "image"


def deploy_config(spec: MMPoseSpec, opset: int) -> dict[str, Any]:
    """Describe the export of a top-down network at its own input size, batch 1."""
    return {
        "backend_config": {"type": "onnxruntime"},
        "codebase_config": {"type": "mmpose", "task": "PoseDetection"},
        "onnx_config": {
            "type": "onnx",
            "export_params": True,
            "keep_initializers_as_inputs": False,
            "opset_version": opset,
            "save_file": "model.onnx",
            "input_names": [INPUT],
            "output_names": list(spec.outputs),
            "input_shape": list(spec.size),
            # It needs an extension that the wheel does not have; onnxsim does the same work.
            "optimize": False,
        },
    }


def tracing_data(spec: MMPoseSpec) -> dict[str, Any]:
    """Describe the least data set that mmdeploy needs to make the tracing input from a picture.

    Its `metainfo` is a config that MMPose would run: the shipped one is named by its whole path, or
    one of that name in the current folder would be taken.
    """
    metainfo = {"from_file": str(shipped_folder() / "_base_" / "datasets" / "coco.py")}
    pipeline = [
        {"type": "GetBBoxCenterScale"},
        {"type": "TopdownAffine", "input_size": spec.size},
        {"type": "PackPoseInputs"},
    ]
    return {"dataset": {"type": "CocoDataset", "metainfo": metainfo, "pipeline": pipeline}}
