"""What a backend is given to run, as the JSON that travels to its worker."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from quantkit.backends.names import BackendName, Precision, precision
from quantkit.model.eligibility import runs_int8
from quantkit.model.export.onnx_file import quantized_operators
from quantkit.model.param import read_param
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile

Artifact = MMPoseSource | OnnxFile | NcnnFiles

_TYPES: Final[dict[str, type[Artifact]]] = {
    kind.__name__: kind for kind in (MMPoseSource, OnnxFile, NcnnFiles)
}
_PATHS: Final = ("path", "param", "bin", "checkpoint")


def artifact_precision(name: BackendName, artifact: Artifact) -> Precision:
    """Say what a backend computes in with this network, which may be int8 by itself.

    Raises:
        InputError: A file of the network cannot be read.
    """
    match artifact:
        case NcnnFiles() if runs_int8(read_param(artifact.param).layers):
            return "int8"
        case OnnxFile() if quantized_operators(artifact.path):
            return "int8"
    return precision(name)


def artifact_to_json(artifact: Artifact) -> dict[str, Any]:
    """Turn an artifact into a JSON object.

    Example:
        >>> artifact_to_json(OnnxFile(Path("m.onnx"), "image", ("heatmap",)))
        {'type': 'OnnxFile', 'path': 'm.onnx', 'input': 'image', 'outputs': ['heatmap']}
    """
    values = {field.name: getattr(artifact, field.name) for field in fields(artifact)}
    return {"type": type(artifact).__name__} | {
        name: str(value) if isinstance(value, Path) else list(value) if name == "outputs" else value
        for name, value in values.items()
    }


def artifact_from_json(value: dict[str, Any]) -> Artifact:
    """Read what `artifact_to_json` made.

    Example:
        >>> source = MMPoseSource("config.py", None, seed=3)
        >>> artifact_from_json(artifact_to_json(source)) == source
        True
    """
    arguments = {name: _field(name, item) for name, item in value.items() if name != "type"}
    return _TYPES[value["type"]](**arguments)


def _field(name: str, value: Any) -> Any:
    if value is not None and name in _PATHS:
        return Path(value)
    return tuple(value) if name == "outputs" else value
