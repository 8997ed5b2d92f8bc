"""What an export depends on, hashed: the network, the crops, the tools."""

import hashlib
import importlib.util
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.export.external_data import external_files
from quantkit.model.mmlab.config import config_files
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.storage import content_key, sha256_file

_TOOLS: Final = ("torch", "mmpose", "mmdeploy", "onnx", "onnxsim", "pnnx", "ncnn", "onnxruntime")
_EDITION: Final = 2
"""Raised when a conversion itself changes."""


def export_key(
    source: MMPoseSource | OnnxFile | NcnnFiles, samples: Sequence[NDArray[np.float32]]
) -> str:
    """Hash everything that the files of an export, and its report, follow from.

    Raises:
        InputError: A file of the source is missing.
        Unavailable: The source is an MMPose config by name and MMPose is not installed.
    """
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(repr(sample.shape).encode())
        digest.update(np.ascontiguousarray(sample).tobytes())
    return content_key(
        {
            "edition": _EDITION,
            "source": source_content(source),
            "samples": digest.hexdigest(),
            "tools": {name: _version(name) for name in _TOOLS},
        }
    )


def source_content(source: MMPoseSource | OnnxFile | NcnnFiles) -> list[object]:
    """Name what a network is by its content, whatever its files are called.

    Raises:
        InputError: A file of the source is missing.
        Unavailable: The source is an MMPose config by name and MMPose is not installed.
    """
    match source:
        case MMPoseSource():
            weights = None if source.checkpoint is None else sha256_file(source.checkpoint)
            files = [sha256_file(path) for path in config_files(source.config)]
            chosen = [] if source.opset is None else [source.opset]
            return ["mmpose", files, weights, source.seed, *chosen]
        case OnnxFile():
            parts = (source.path, *external_files(source.path))
            hashes = [sha256_file(path) for path in parts]
            return ["onnx", hashes, source.input, list(source.outputs)]
        case NcnnFiles():
            hashes = [sha256_file(path) for path in (source.param, source.bin)]
            return ["ncnn", hashes, source.input, list(source.outputs)]


def _version(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return None
