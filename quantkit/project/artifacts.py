"""What each backend is given to run."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from quantkit.backends.artifact import Artifact
from quantkit.backends.export_key import source_content
from quantkit.backends.export_report import ExportReport
from quantkit.backends.names import BackendName
from quantkit.data.coco import load_dataset
from quantkit.errors import BackendDied, GateFailed, InputError, Unavailable
from quantkit.model.export.onnx_file import read_onnx
from quantkit.model.network import Network, read_network
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project.calibrating import Calibrated, ready_table
from quantkit.project.calibration_request import NAMES
from quantkit.project.config import Project
from quantkit.project.exporting import export_model, export_model_to_onnx
from quantkit.project.qdq import write_qdq
from quantkit.project.table_location import find_table
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
    # A source that is absent is wrong input; only what cannot be made from it is a row's reason.
    with suppress(Unavailable):
        source_content(project.source)
    form = _Forms(project, table, threads, feedback)
    return {name: form.of(name) for name in names}


@dataclass(frozen=True)
class _Forms:
    """The forms of a project's model, made when they are asked for."""

    project: Project
    table: str | Path
    threads: int
    feedback: Feedback

    def of(self, name: BackendName) -> Artifact | str:
        source = self.project.source
        if name == "pytorch":
            return source if isinstance(source, MMPoseSource) else self._nothing()
        if name not in _CONVERTED:
            return self._onnx
        if isinstance(source, NcnnFiles) and name not in ("ncnn", "ncnn-int8"):
            return self._nothing()
        exported = self._exported
        if isinstance(exported, str):
            return exported
        if name == "ncnn":
            return exported.ncnn
        calibrated = self._calibrated
        if isinstance(calibrated, str):
            return calibrated
        if name == "ncnn-int8":
            return calibrated.int8
        assert exported.onnx is not None
        return self._qdq(name, exported.onnx, calibrated)

    @cached_property
    def _onnx(self) -> OnnxFile | str:
        source = self.project.source
        if isinstance(source, NcnnFiles):
            return self._nothing()
        try:
            return export_model_to_onnx(self.project, source, self.feedback).onnx
        except (InputError, GateFailed, BackendDied, Unavailable) as error:
            if isinstance(source, MMPoseSource):
                return str(error)
            if isinstance(error, InputError):
                raise
            # The network that was given needs no conversion where a backend runs it as it is.
            return source

    @cached_property
    def _exported(self) -> ExportReport | str:
        try:
            return export_model(self.project, self.feedback)
        except (InputError, GateFailed, BackendDied, Unavailable) as error:
            if isinstance(self.project.source, NcnnFiles):
                raise
            return str(error)

    @cached_property
    def _calibrated(self) -> Calibrated | str:
        exported = self._exported
        assert isinstance(exported, ExportReport)
        try:
            ready = ready_table(
                self.project,
                self.table,
                exported=exported,
                threads=self.threads,
                feedback=self.feedback,
            )
        except InputError:
            if self.table not in NAMES or find_table(self.project, self.table).is_file():
                raise
            # Without data to calibrate on there are no int8 rows; the others need none.
            data = self.project.calibration
            try:
                load_dataset(data.annotations, data.images, keypoints=False)
            except InputError as error:
                return f"there is no data to calibrate it on: {error}"
            raise
        note_origin(self.project, ready.table, self.feedback)
        return ready

    def _qdq(self, name: BackendName, fp32: OnnxFile, files: Calibrated) -> OnnxFile | str:
        network, prepared = self._networks
        table = files.table
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
        assert isinstance(files, Calibrated)
        network = read_network(files.fp32)
        same = files.prepared == files.fp32
        return network, network if same else read_network(files.prepared)

    def _nothing(self) -> str:
        form = _FORMS[type(self.project.source)]
        return f"the model is given as {form}, which this backend cannot run"


def other_networks(project: Project, paths: Sequence[Path]) -> dict[str, OnnxFile]:
    """Describe ONNX files that are compared with the project's network.

    Returns:
        Name of a row to the file, with the input and outputs of the project where it has them, else
        its own.

    Raises:
        InputError: A file is no ONNX network with one input and the project's number of outputs, or
            two would have one name.
    """
    found: dict[str, OnnxFile] = {}
    for path in paths:
        graph = read_onnx(path).graph
        weights = {tensor.name for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in weights]
        outputs = tuple(value.name for value in graph.output)
        source = project.source
        if not isinstance(source, MMPoseSource):
            wanted = source.outputs
            outputs = wanted if set(wanted) <= set(outputs) else outputs
            if len(outputs) != len(wanted):
                message = f"has {len(outputs)} outputs, the project's network has {len(wanted)}"
                raise InputError(message, path=path)
        if len(inputs) != 1:
            message = f"expected one input, found {', '.join(inputs) or 'none'}"
            raise InputError(message, path=path)
        label = f"onnxruntime:{re.sub(r'[^A-Za-z0-9_.-]', '-', path.name)}"
        if label in found:
            message = "another file of this name is compared, too: rename one"
            raise InputError(message, path=path)
        found[label] = OnnxFile(path, inputs[0], outputs)
    return found


def artifact_files(artifact: Artifact) -> tuple[Path, ...]:
    """List the files that hold a model; none where its weights are random."""
    match artifact:
        case OnnxFile():
            return (artifact.path,)
        case NcnnFiles():
            return (artifact.param, artifact.bin)
        case MMPoseSource():
            return () if artifact.checkpoint is None else (artifact.checkpoint,)
