"""The int8 network of a table for ONNX Runtime and OpenVINO, in the project's work folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from quantkit.backends.names import BackendName
from quantkit.backends.openvino import lacks_vnni
from quantkit.calibration.table import read_table
from quantkit.model.network import Network
from quantkit.model.source import OnnxFile
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.table_location import work_stem
from quantkit.quantization.qdq import to_qdq
from quantkit.quantization.qdq_onnxruntime import suit_onnxruntime
from quantkit.quantization.qdq_openvino import suit_openvino
from quantkit.storage import write_result


def write_qdq(
    project: Project,
    name: BackendName,
    fp32: OnnxFile,
    network: Network,
    prepared: Network,
    table: Path,
    feedback: Feedback,
) -> OnnxFile:
    """Write the int8 network of a table in ONNX form, as it is and as it suits a backend.

    Equal files that are there stay.

    Args:
        project: The project.
        name: The backend that it is for.
        fp32: The fp32 network in ONNX form.
        network: The ncnn network that was made from it.
        prepared: The network that the table belongs to, which may be the same.
        table: The calibration table.
        feedback: Told which layers of the table stay fp32.

    Raises:
        InputError: The table does not fit the network, the file cannot be written, or what was
            changed in `prepared` cannot be carried over.
    """
    written = to_qdq(fp32.path, network, read_table(table), prepared)
    for layer, reason in written.left_out.items():
        feedback.note(f"{name}: layer '{layer}' stays fp32: {reason}")
    stem = work_stem(project, table)
    _write(project.work_dir / f"{stem}-int8.onnx", written.model)
    if name == "onnxruntime-int8":
        suit_onnxruntime(written.model)
    else:
        suit_openvino(written.model, sums_overflow=lacks_vnni())
    path = project.work_dir / f"{stem}-int8-{name.removesuffix('-int8')}.onnx"
    _write(path, written.model)
    return replace(fp32, path=path)


def _write(path: Path, model: Any) -> None:
    write_result(path, model.SerializeToString(deterministic=True), overwrite=True)
