"""A new project file, from an mmpose config, an ONNX file or an ncnn pair."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.mmlab.spec import describe
from quantkit.model.param import read_param
from quantkit.project.config import IMAGENET_MEAN, IMAGENET_STD
from quantkit.storage import read_bytes

_DATA = """
[data.val]
annotations = "annotations/person_keypoints_val2017.json"
images = "val2017"
boxes = "gt"

[data.calibration]      # keypoints are not needed, boxes are
annotations = "annotations/person_keypoints_train2017.json"
images = "train2017"
"""


@dataclass(frozen=True)
class Start:
    """What a new project file says of the model; the data paths are COCO's, to be edited.

    Attributes:
        name: Name of the model.
        source: The line that names the network, in TOML.
        size: Width and height of the input; None where the source does not tell.
        head: `heatmap` or `simcc`.
        decode: `default`, `dark`, `udp` or `udp_combined`.
        mean: Mean of each channel, in the order of `color`.
        std: Standard deviation of each channel.
        color: `rgb` or `bgr`.
        padding: How far a box is widened.
        udp: Whether the crop is MMPose's UDP one.
        simcc_split_ratio: Bins per input pixel of a simcc head.
        blur_kernel_size: Gaussian of a heatmap's `dark`, `udp` and `udp_combined`.
        simcc_sigma: Gaussians in bins, along x and y, of a simcc head's `dark`.
        radius_factor: Unit of the offsets of `udp_combined`.
        shift_heatmap: Whether a flip test moves the mirrored heatmaps by a pixel; None where the
            source does not tell.
    """

    name: str
    source: str
    size: tuple[int, int] | None
    head: str
    decode: str = "default"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    color: str = "rgb"
    padding: float = 1.25
    udp: bool = False
    simcc_split_ratio: float = 2.0
    blur_kernel_size: int = 11
    simcc_sigma: tuple[float, float] = (6.0, 6.0)
    radius_factor: float = 0.0546875
    shift_heatmap: bool | None = None

    def text(self) -> str:
        """Write the project file.

        Raises:
            InputError: The size is not known.
        """
        if self.size is None:
            message = "the source does not tell its input size: give --size WIDTH HEIGHT"
            raise InputError(message)
        return (
            f"[model]\nname = {json.dumps(self.name)}\n{self.source}\n\n"
            f"[input]\nsize = {list(self.size)}       # width, height\n"
            f'mean = {list(self.mean)}\nstd = {list(self.std)}\ncolor = "{self.color}"\n'
            f"padding = {self.padding}\nudp = {str(self.udp).lower()}\n\n{self._head()}{_DATA}"
        )

    def _head(self) -> str:
        lines = ["[head]", f'type = "{self.head}"', f'decode = "{self.decode}"']
        if self.head == "simcc":
            lines.append(f"simcc_split_ratio = {self.simcc_split_ratio}")
            if self.decode == "dark":
                lines.append(f"simcc_sigma = {list(self.simcc_sigma)}")
        else:
            if self.decode != "default":
                lines.append(f"blur_kernel_size = {self.blur_kernel_size}")
            if self.decode == "udp_combined":
                lines.append(f"radius_factor = {self.radius_factor}")
            if self.shift_heatmap is not None:
                shift = str(self.shift_heatmap).lower()
                lines.append(f"shift_heatmap = {shift}    # of the flip test, which is off")
        return "\n".join(lines) + "\n"


def start_from_mmpose(config: str, checkpoint: Path | None, folder: Path) -> Start:
    """Describe a project around an mmpose config.

    Args:
        config: A file, or the name of a config that MMPose ships.
        checkpoint: Its weights.
        folder: Where the project file will lie.

    Raises:
        InputError: The config cannot be used.
        Unavailable: mmpose is not installed.
    """
    spec = describe(config)
    named = _quoted(Path(config), folder) if Path(config).is_file() else json.dumps(config)
    entries = f"config = {named}"
    if checkpoint is not None:
        entries += f", checkpoint = {_quoted(checkpoint, folder)}"
    return Start(
        name=Path(config).stem,
        source=f"mmpose = {{ {entries} }}",
        size=spec.size,
        head=spec.head,
        decode=spec.decode,
        mean=spec.mean,
        std=spec.std,
        color=spec.color,
        padding=spec.padding,
        udp=spec.udp,
        simcc_split_ratio=spec.simcc_split_ratio,
        blur_kernel_size=spec.blur_kernel_size,
        simcc_sigma=spec.simcc_sigma,
        radius_factor=spec.radius_factor,
        shift_heatmap=spec.shift_heatmap,
    )


def start_from_onnx(path: Path, folder: Path) -> Start:
    """Describe a project around an ONNX file.

    Args:
        path: The file.
        folder: Where the project file will lie.

    Raises:
        InputError: The file is not a model with one image input.
    """
    import onnx

    try:
        graph = onnx.load_from_string(read_bytes(path)).graph
    except Exception as error:
        raise InputError(f"is not an ONNX model: {error}", path=path) from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        message = f"expected one input, got {[value.name for value in inputs]}"
        raise InputError(message, path=path)
    shape = [dimension.dim_value for dimension in inputs[0].type.tensor_type.shape.dim]
    outputs = [value.name for value in graph.output]
    entries = f"file = {_quoted(path, folder)}, input = {json.dumps(inputs[0].name)}"
    return Start(
        name=path.stem,
        source=f"onnx = {{ {entries}, outputs = {json.dumps(outputs)} }}",
        size=(shape[3], shape[2]) if len(shape) == 4 and min(shape[2:]) > 0 else None,
        head=_head(outputs),
    )


def start_from_ncnn(param: Path, weights: Path, folder: Path) -> Start:
    """Describe a project around an ncnn pair.

    Args:
        param: The .param file.
        weights: The .bin file.
        folder: Where the project file will lie.

    Raises:
        InputError: The .param cannot be read or has not one input.
    """
    graph = read_param(param)
    inputs = [layer for layer in graph.layers if layer.type == "Input"]
    if len(inputs) != 1:
        raise InputError(f"expected one Input layer, got {len(inputs)}", path=param)
    consumed = {blob for layer in graph.layers for blob in layer.bottoms}
    outputs = [blob for layer in graph.layers for blob in layer.tops if blob not in consumed]
    size = (inputs[0].int_param(0, 0), inputs[0].int_param(1, 0))
    entries = (
        f"param = {_quoted(param, folder)}, bin = {_quoted(weights, folder)},"
        f" input = {json.dumps(inputs[0].tops[0])}, outputs = {json.dumps(outputs)}"
    )
    return Start(
        name=param.stem.removesuffix(".ncnn"),
        source=f"ncnn = {{ {entries} }}",
        size=size if min(size) > 0 else None,
        head=_head(outputs),
    )


def _quoted(path: Path, folder: Path) -> str:
    """Write a path as the project file has it: relative to its folder, unless it is absolute."""
    there = path if path.is_absolute() else Path(os.path.relpath(path, folder))
    return json.dumps(there.as_posix())


def _head(outputs: list[str]) -> str:
    return "simcc" if len(outputs) == 2 else "heatmap"
