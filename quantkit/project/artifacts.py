"""What each backend is given to run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quantkit.backends.artifact import Artifact
from quantkit.backends.export_report import ExportReport
from quantkit.errors import Unavailable
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project.calibrating import ready_table
from quantkit.project.config import Project
from quantkit.project.exporting import export_model

_CONVERTED: Final = ("ncnn", "ncnn-int8")
_FORMS: Final = {MMPoseSource: "an mmpose config", OnnxFile: "ONNX", NcnnFiles: "an ncnn pair"}


def backend_artifacts(
    project: Project, names: Sequence[str], table: str, threads: int, feedback: Feedback
) -> dict[str, Artifact | str]:
    """Find what each backend runs; what is not there yet is exported and calibrated first.

    Args:
        project: The project.
        names: Names of backends.
        table: Name of the calibration table of the int8 model.
        threads: Worker threads of a calibration.
        feedback: Told how it goes.

    Returns:
        Backend to its form of the model, or to the reason why there is none.

    Raises:
        InputError: The model cannot be converted or calibrated.
    """
    found: dict[str, Artifact | str] = {}
    exported = _exported(project, feedback) if set(names) - {"pytorch"} else None
    for name in names:
        if name == "pytorch" or exported is None:
            source = project.source
            found[name] = source if isinstance(source, MMPoseSource) else _nothing(project)
        elif isinstance(exported, str):
            # The network that was given needs no conversion where a backend runs it as it is.
            given = isinstance(project.source, OnnxFile) and name not in _CONVERTED
            found[name] = project.source if given else exported
        elif name in ("onnxruntime-int8", "openvino-int8"):
            found[name] = "not built yet"
        elif name == "ncnn-int8":
            found[name] = ready_table(
                project, table, exported=exported, threads=threads, feedback=feedback
            ).int8
        else:
            found[name] = exported.ncnn if name == "ncnn" else exported.onnx or _nothing(project)
    return found


def _exported(project: Project, feedback: Feedback) -> ExportReport | str:
    try:
        return export_model(project, feedback)
    except Unavailable as error:
        return str(error)


def _nothing(project: Project) -> str:
    return f"the model is given as {_FORMS[type(project.source)]}, which this backend cannot run"


def artifact_files(artifact: Artifact) -> tuple[Path, ...]:
    """List the files that hold a model; none where its weights are random."""
    match artifact:
        case OnnxFile():
            return (artifact.path,)
        case NcnnFiles():
            return (artifact.param, artifact.bin)
        case MMPoseSource():
            return () if artifact.checkpoint is None else (artifact.checkpoint,)
