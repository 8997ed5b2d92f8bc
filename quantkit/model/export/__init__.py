"""From MMPose over ONNX to ncnn: the conversions, and how far an output may move in each.

Every conversion runs in a child process, because each is native code that can crash. What runs the
networks between the conversions is `quantkit.backends.export_chain`.
"""

from quantkit.model.export.compare import Difference, check_difference, compare
from quantkit.model.export.native import NativeRun, cause_of_death, run_native
from quantkit.model.export.simplify import simplify_onnx
from quantkit.model.export.to_ncnn import onnx_to_ncnn
from quantkit.model.export.to_onnx import mmpose_to_onnx

__all__ = [
    "Difference",
    "NativeRun",
    "cause_of_death",
    "check_difference",
    "compare",
    "mmpose_to_onnx",
    "onnx_to_ncnn",
    "run_native",
    "simplify_onnx",
]
