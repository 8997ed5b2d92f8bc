"""MMPose: its configs and checkpoints, read with care, and the networks built from them."""

from quantkit.model.mmlab.config import load_config, missing_packages
from quantkit.model.mmlab.network import build_pose_model, head_outputs
from quantkit.model.mmlab.shims import import_mmpose
from quantkit.model.mmlab.spec import MMPoseSpec, describe

__all__ = [
    "MMPoseSpec",
    "build_pose_model",
    "describe",
    "head_outputs",
    "import_mmpose",
    "load_config",
    "missing_packages",
]
