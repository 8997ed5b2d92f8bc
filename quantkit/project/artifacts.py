"""What each backend is given to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from quantkit.backends.artifact import Artifact
from quantkit.backends.export_report import ExportReport
from quantkit.backends.names import BackendName, precision
from quantkit.errors import InputError, Unavailable
from quantkit.model.network import Network, read_network
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project.calibrating import Calibrated, ready_table
from quantkit.project.config import Project
from quantkit.project.exporting import export_model
from quantkit.project.qdq import write_qdq
from quantkit.project.table_origin import note_origin

_CONVERTED: Final = ("ncnn", "ncnn-int8", "onnxruntime-int8", "openvino-int8")
_FORMS: Final = {MMPoseSource: "an mmpose config", OnnxFile: "ONNX", NcnnFiles: "an ncnn pair"}


def backend_artifacts(
    project: Project,
    names: Sequence[BackendName],
    table: str | Path,
    threads: int,
    feedback: Feedback,
) -> dict[str, Artifact | str]:
    """Find what each backend runs; what is not there yet is exported and calibrated first.

    Args:
        project: The project.
        names: Names of backends.
        table: Name or path of the calibration table of the int8 model.
        threads: Worker threads of a calibration.
        feedback: Told how it goes.

    Returns:
        Backend to its form of the model, or to the reason why there is none.

    Raises:
        InputError: The model cannot be converted or calibrated.
    """
    exported = _exported(project, feedback) if set(names) - {"pytorch"} else None
    form = _Forms(project, exported, table, threads, feedback)
    return {name: form.of(name) for name in names}


@dataclass(frozen=True)
class _Forms:
    """The forms of a project's model, made when they are asked for."""

    project: Project
    exported: ExportReport | str | None
    table: str | Path
    threads: int
    feedback: Feedback

    def of(self, name: BackendName) -> Artifact | str:
        source, exported = self.project.source, self.exported
        if name == "pytorch" or exported is None:
            return source if isinstance(source, MMPoseSource) else self._nothing()
        if isinstance(exported, str):
            # The network that was given needs no conversion where a backend runs it as it is.
            given = isinstance(source, OnnxFile) and name not in _CONVERTED
            return source if given else exported
        if name == "ncnn-int8":
            return self._calibrated.int8
        if name == "ncnn":
            return exported.ncnn
        if exported.onnx is None:
            return self._nothing()
        if precision(name) == "int8":
            return self._qdq(name, exported.onnx)
        return exported.onnx

    @cached_property
    def _calibrated(self) -> Calibrated:
        assert isinstance(self.exported, ExportReport)
        ready = ready_table(
            self.project,
            self.table,
            exported=self.exported,
            threads=self.threads,
            feedback=self.feedback,
        )
        note_origin(self.project, ready.table, self.feedback)
        return ready

    def _qdq(self, name: BackendName, fp32: OnnxFile) -> OnnxFile | str:
        network, prepared = self._networks
        table = self._calibrated.table
        try:
            return write_qdq(self.project, name, fp32, network, prepared, table, self.feedback)
        except InputError as error:
            if prepared is network:
                raise
            # What was changed for ncnn may have no place in the ONNX file.
            return f"the network of table '{table.stem}' cannot be put into ONNX: {error}"

    @cached_property
    def _networks(self) -> tuple[Network, Network]:
        files = self._calibrated
        network = read_network(files.fp32)
        same = files.prepared == files.fp32
        return network, network if same else read_network(files.prepared)

    def _nothing(self) -> str:
        form = _FORMS[type(self.project.source)]
        return f"the model is given as {form}, which this backend cannot run"


def _exported(project: Project, feedback: Feedback) -> ExportReport | str:
    try:
        return export_model(project, feedback)
    except Unavailable as error:
        return str(error)


def artifact_files(artifact: Artifact) -> tuple[Path, ...]:
    """List the files that hold a model; none where its weights are random."""
    match artifact:
        case OnnxFile():
            return (artifact.path,)
        case NcnnFiles():
            return (artifact.param, artifact.bin)
        case MMPoseSource():
            return () if artifact.checkpoint is None else (artifact.checkpoint,)
