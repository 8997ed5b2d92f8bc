"""What each backend is given to run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quantkit.backends.artifact import Artifact
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project.calibrating import calibrated_model
from quantkit.project.config import Project
from quantkit.project.exporting import export_model

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
    return {name: _artifact(project, name, table, threads, feedback) for name in names}


def _artifact(
    project: Project, name: str, table: str, threads: int, feedback: Feedback
) -> Artifact | str:
    source = project.source
    nothing = f"the model is given as {_FORMS[type(source)]}, which this backend cannot run"
    if name == "pytorch":
        return source if isinstance(source, MMPoseSource) else nothing
    if name == "ncnn-int8":
        return calibrated_model(project, table, threads=threads, feedback=feedback)
    exported = export_model(project, feedback)
    return exported.ncnn if name == "ncnn" else exported.onnx or nothing


def artifact_files(artifact: Artifact) -> tuple[Path, ...]:
    """List the files that hold a model; none where its weights are random."""
    match artifact:
        case OnnxFile():
            return (artifact.path,)
        case NcnnFiles():
            return (artifact.param, artifact.bin)
        case MMPoseSource():
            return () if artifact.checkpoint is None else (artifact.checkpoint,)
