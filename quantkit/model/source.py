"""Where a network comes from: an MMPose config, an ONNX file or an ncnn pair."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NcnnFiles:
    """A network in ncnn's form.

    Args:
        param: The text file with the layer graph.
        bin: The binary file with the weights.
        input: Name of the blob that takes a person crop.
        outputs: Names of the blobs that the head decodes, in the decoder's order.
    """

    param: Path
    bin: Path
    input: str
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxFile:
    """A network in ONNX form.

    Args:
        path: The .onnx file.
        input: Name of the graph's input.
        outputs: Names of the graph's outputs, in the decoder's order.
    """

    path: Path
    input: str
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class MMPoseSource:
    """A network that MMPose builds.

    Args:
        config: A config file, or the name of a config that MMPose ships.
        checkpoint: The weights; without them the network gets seeded random ones.
        seed: Seed of the random weights.
        opset: Version of ONNX's operators that it is exported with; None for the lowest that has
            all of its operators.
    """

    config: str
    checkpoint: Path | None
    seed: int = 0
    opset: int | None = None
