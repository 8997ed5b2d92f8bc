"""A new project file, from an mmpose config, an ONNX file or an ncnn pair."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from quantkit.backends.network_check import check_pair
from quantkit.backends.process import open_runner
from quantkit.data.coco_file import KEYPOINTS
from quantkit.data.preprocess import Color
from quantkit.errors import InputError, QuantkitError
from quantkit.evaluation.head import Decode, HeadSpec, HeadType
from quantkit.model.eligibility import require_quantizable
from quantkit.model.export.interface import onnx_interface
from quantkit.model.input_fit import check_input
from quantkit.model.interface import Interface, fixed_size, ncnn_input, ncnn_input_shape
from quantkit.model.mmlab.spec import describe
from quantkit.model.network import Network
from quantkit.model.param import read_param
from quantkit.model.shape_rule import Shape
from quantkit.model.source import NcnnFiles
from quantkit.project.config import SIDES, checked_name
from quantkit.project.head_guess import HeadGuess, guess_head
from quantkit.project.toml import UNANSWERED, toml_string

_DATA = """
[data.val]
annotations = "annotations/person_keypoints_val2017.json"
images = "val2017"
boxes = "gt"

[data.calibration]      # keypoints are not needed, boxes are
annotations = "annotations/person_keypoints_train2017.json"
images = "train2017"
"""


_COCO_KEYPOINTS: Final = ("", "CocoDataset", "HumanArtDataset")
"""MMPose's data sets that have COCO's keypoints; empty where it is not known which it was."""

_USUAL: Final[Mapping[bool, tuple[tuple[str, str, str], ...]]] = {
    False: (
        ("123.675 116.28 103.53", "58.395 57.12 57.375", "ImageNet's, in rgb"),
        ("0 0 0", "255 255 255", "pixels / 255"),
        ("127.5 127.5 127.5", "127.5 127.5 127.5", "-1 to 1"),
    ),
    True: (("0", "255", "pixels / 255"), ("127.5", "127.5", "-1 to 1")),
}
"""The usual means, standard deviations and what they are, of color and of gray networks."""


@dataclass(frozen=True)
class Answers:
    """What the person says of a network whose files do not.

    Attributes:
        size: Width and height of the input.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        color: Channel order.
        outputs: The outputs that the head decodes, in its order.
        head: Its type.
        decode: How it is decoded.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: Color | None = None
    outputs: tuple[str, ...] = ()
    head: HeadType | None = None
    decode: Decode | None = None


@dataclass(frozen=True)
class Question:
    """What a file does not tell and the person may.

    Attributes:
        key: The field of `Answers`.
        text: The question.
        default: The answer that is offered.
    """

    key: Literal["mean", "std", "color", "outputs", "head"]
    text: str
    default: str


@dataclass(frozen=True)
class Start:
    """What a new project file says of the model; the data paths are COCO's, to be edited.

    Attributes:
        name: Name of the model.
        source: The line that names the network, in TOML.
        size: Width and height of the input.
        color: Channel order of the input; None where it is not known.
        mean: Mean of each channel, in the order of `color`; None where it is not known.
        std: Standard deviation of each channel; None where it is not known.
        head: What is known of the head; without a type where that is not known.
        padding: How far a box is widened.
        udp: Whether the crop is MMPose's UDP one.
        shift_heatmap: Whether a flip test moves the mirrored heatmaps by a pixel; None where the
            source does not tell.
        remark: What is to be checked of the head.
        notes: What the person is told, a sentence each.
        questions: What is not known.
    """

    name: str
    source: str
    size: tuple[int, int]
    color: Color | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    head: HeadSpec
    known_type: bool = True
    padding: float = 1.25
    udp: bool = False
    shift_heatmap: bool | None = None
    remark: str = ""
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()

    def text(self) -> str:
        """Write the project file.

        Raises:
            InputError: The name or the size cannot be used.
        """
        if any(not SIDES[0] <= side <= SIDES[1] for side in self.size):
            message = (
                f"an input of {self.size[0]}x{self.size[1]}: sides of {SIDES[0]} to {SIDES[1]}"
            )
            raise InputError(f"{message} pixels are supported")
        return (
            f"[model]\nname = {toml_string(checked_name(self.name))}\n{self.source}\n\n"
            f"[input]\nsize = {list(self.size)}       # width, height\n{self._normalisation()}"
            f"padding = {self.padding}\nudp = {str(self.udp).lower()}\n\n{self._head()}{_DATA}"
        )

    def _normalisation(self) -> str:
        means, stds, kinds = zip(*_USUAL[self.color == "gray"], strict=True)
        usual = {
            "mean": "as it was trained: " + _choices(means, kinds),
            "std": "as it was trained: " + _choices(stds, kinds),
            "color": "as it was trained: rgb or bgr",
        }
        color = None if self.color is None else f'"{self.color}"'
        values = {
            "mean": None if self.mean is None else str(list(self.mean)),
            "std": None if self.std is None else str(list(self.std)),
            "color": color,
        }
        return "".join(
            f"{key} = {value}\n" if value else f'{key} = "{UNANSWERED}"   # {usual[key]}\n'
            for key, value in values.items()
        )

    def _head(self) -> str:
        head = self.head
        kind = head.type if self.known_type else UNANSWERED
        lines = ["[head]", f'type = "{kind}"', f'decode = "{head.decode}"']
        if self.remark:
            lines.insert(1, f"# {_comment(self.remark)}")
        if head.type == "simcc":
            lines.append(f"simcc_split_ratio = {head.simcc_split_ratio}")
            if head.decode == "dark":
                lines.append(f"simcc_sigma = {list(head.simcc_sigma)}")
        else:
            if head.decode != "default":
                lines.append(f"blur_kernel_size = {head.blur_kernel_size}")
            if head.decode == "udp_combined":
                lines.append(f"radius_factor = {head.radius_factor}")
            if self.shift_heatmap is not None:
                shift = str(self.shift_heatmap).lower()
                lines.append(f"shift_heatmap = {shift}    # of the flip test, which is off")
        if head.keypoints not in (0, KEYPOINTS):
            lines += ["", "[keypoints]", f"count = {head.keypoints}"]
        return "\n".join(lines) + "\n"


def start_from_mmpose(
    config: str, checkpoint: Path | None, folder: Path, answers: Answers = Answers()
) -> Start:
    """Describe a project around an mmpose config.

    Args:
        config: A file, or the name of a config that MMPose ships.
        checkpoint: Its weights.
        folder: Where the project file will lie.
        answers: The config tells everything; a size may be named, and has to be its own.

    Raises:
        InputError: The config cannot be used, or something else than it says is asked for.
        Unavailable: mmpose is not installed.
    """
    spec = describe(config)
    size = fixed_size(spec.size, answers.size)
    if replace(answers, size=None) != Answers():
        message = "the mmpose config tells the input and the head: edit quantkit.toml to differ"
        raise InputError(message)
    named = _quoted(Path(config), folder) if Path(config).is_file() else toml_string(config)
    entries = f"config = {named}"
    if checkpoint is not None:
        entries += f", checkpoint = {_quoted(checkpoint, folder)}"
    return Start(
        name=_name(Path(config).stem),
        source=f"mmpose = {{ {entries} }}",
        size=size,
        mean=spec.mean,
        std=spec.std,
        color=spec.color,
        padding=spec.padding,
        udp=spec.udp,
        head=HeadSpec(
            type=spec.head,
            decode=spec.decode,
            keypoints=spec.keypoints,
            simcc_split_ratio=spec.simcc_split_ratio,
            blur_kernel_size=spec.blur_kernel_size,
            simcc_sigma=spec.simcc_sigma,
            radius_factor=spec.radius_factor,
        ),
        shift_heatmap=spec.shift_heatmap,
        notes=(*_keypoint_notes(spec.keypoints, spec.dataset), *filter(None, (spec.missing,))),
    )


def start_from_onnx(path: Path, folder: Path, answers: Answers = Answers()) -> Start:
    """Describe a project around an ONNX file.

    Args:
        path: The file.
        folder: Where the project file will lie.
        answers: What the person says of it.

    Raises:
        InputError: The file is not a model with one image input, or an answer contradicts it.
        BackendDied: Reading it crashed.
    """
    interface = onnx_interface(path, answers.size)
    entries = f"file = {_quoted(path, folder)}, input = {toml_string(interface.input)}"
    return _start(_name(path.stem), "onnx", entries, interface, answers)


def start_from_ncnn(
    param: Path, weights: Path, folder: Path, answers: Answers = Answers()
) -> Start:
    """Describe a project around an ncnn pair.

    Args:
        param: The .param file.
        weights: The .bin file.
        folder: Where the project file will lie.
        answers: What the person says of it.

    Raises:
        InputError: A file is malformed, the network has not one image input or does not fit an
            input of that size, or an answer contradicts it.
    """
    interface = _ncnn_interface(param, weights, answers.size)
    entries = (
        f"param = {_quoted(param, folder)}, bin = {_quoted(weights, folder)},"
        f" input = {toml_string(interface.input)}"
    )
    return _start(_name(param.stem.removesuffix(".ncnn")), "ncnn", entries, interface, answers)


def _ncnn_interface(param: Path, weights: Path, given: tuple[int, int] | None) -> Interface:
    graph = read_param(param)
    blob = ncnn_input(graph).tops[0]
    channels, high, wide = ncnn_input_shape(graph, blob)
    if wide in (1, 3) and channels not in (None, 1, 3):
        message = f"its input is {channels}x{high}x{wide}, channels last: convert the network from"
        raise InputError(f"{message} its ONNX file, by init --onnx", path=param)
    width, height = fixed_size((wide, high), given)
    shape = (channels or 3, height, width)
    consumed = {blob for layer in graph.layers for blob in layer.bottoms}
    names = tuple(blob for layer in graph.layers for blob in layer.tops if blob not in consumed)
    files = NcnnFiles(param, weights, blob, names)
    network = check_pair(files, shape)
    shapes: Mapping[str, Shape | None] = check_input(network.param, blob, shape)
    if any(name not in shapes for name in names):
        # The shapes that some types make depend on more than shapes: ncnn is asked.
        shapes = _ran(files, shape)
    return Interface(blob, shape, {name: shapes[name] for name in names}, notes=_remarks(network))


def _remarks(network: Network) -> tuple[str, ...]:
    """Say what was put right in a .param, and why a network can only be evaluated."""
    notes = tuple(f"{network.param.path}: {note}" for note in network.param.notes)
    try:
        require_quantizable(network)
    except InputError as error:
        return (*notes, str(error))
    return notes


def _ran(files: NcnnFiles, shape: tuple[int, int, int]) -> dict[str, Shape | None]:
    import numpy as np

    try:
        with open_runner("ncnn", files, threads=1) as runner:
            outputs = runner.run(np.zeros(shape, np.float32))
    except QuantkitError:
        return dict.fromkeys(files.outputs)
    return {name: out.shape for name, out in zip(files.outputs, outputs, strict=True)}


def _start(name: str, source: str, entries: str, interface: Interface, answers: Answers) -> Start:
    channels, height, width = interface.shape
    if channels not in (1, 3):
        message = f"input '{interface.input}' has {channels} channels: 3 (rgb, bgr) or 1 (gray)"
        raise InputError(f"{message} are supported")
    answers = _normalised(interface, answers)
    guess = guess_head(
        interface.outputs,
        (width, height),
        chosen=answers.outputs,
        head=answers.head,
        decode=answers.decode,
    )
    listed = guess.outputs or ()
    outputs = f"[{', '.join(map(toml_string, listed))}]" if listed else f'"{UNANSWERED}"'
    questions = _questions(interface, answers, guess)
    unanswered = tuple(question.key for question in questions)
    notes = interface.notes + tuple(filter(None, (guess.remark,)))
    if guess.type != "none" and guess.outputs:
        notes += _keypoint_notes(guess.keypoints)
    if unanswered:
        notes += (_still_open(unanswered),)
    return Start(
        name=name,
        source=f"{source} = {{ {entries}, outputs = {outputs} }}",
        size=(width, height),
        color=answers.color,
        mean=answers.mean,
        std=answers.std,
        head=HeadSpec(
            type=guess.type or "heatmap",
            decode=guess.decode,
            keypoints=guess.keypoints,
            simcc_split_ratio=guess.split_ratio,
        ),
        known_type=guess.type is not None,
        remark=guess.remark,
        notes=notes,
        questions=questions,
    )


def _normalised(interface: Interface, answers: Answers) -> Answers:
    gray = interface.shape[0] == 1
    if answers.color is not None and gray != (answers.color == "gray"):
        message = f"--color {answers.color}: the network's input has {interface.shape[0]} channels"
        raise InputError(message.removesuffix("s") if gray else message)
    values = [value for pair in (answers.mean, answers.std) for value in pair or ()]
    if not all(map(math.isfinite, values)) or any(std <= 0 for std in answers.std or ()):
        message = "--mean and --std: finite numbers are needed, and every std above 0"
        raise InputError(message)
    mean, std = answers.mean, answers.std
    if gray:
        mean, std = _single("mean", mean), _single("std", std)
    if interface.grey_levels:
        mean, std = mean or (0.0,) * interface.shape[0], std or (1.0,) * interface.shape[0]
    return replace(answers, mean=mean, std=std, color="gray" if gray else answers.color)


def _single(option: str, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if values is not None and len(set(values)) > 1:
        message = f"--{option}: a gray network has one channel: give its value three times"
        raise InputError(message)
    return values and values[:1]


def _questions(interface: Interface, answers: Answers, guess: HeadGuess) -> tuple[Question, ...]:
    mean, std, kind = _USUAL[interface.shape[0] == 1][0]
    asked = [
        Question("mean", f"Mean of each channel of 0 to 255, as trained ({kind})", mean),
        Question("std", "Standard deviation of each channel", std),
        Question("color", "Channel order, rgb or bgr", "rgb"),
    ]
    asked = [one for one in asked if getattr(answers, one.key) is None]
    if guess.type is None:
        asked.append(Question("head", "Head, heatmap or simcc", "heatmap"))
    if guess.outputs is None:
        usual = " ".join(guess.candidates[: 2 if guess.type == "simcc" else 1])
        asked.append(Question("outputs", f"Outputs of the head ({guess.remark})", usual))
    return tuple(asked)


def _still_open(keys: tuple[str, ...]) -> str:
    places = [f"[model] {key}" if key == "outputs" else f"[input] {key}" for key in keys]
    places = [place.replace("[input] head", "[head] type") for place in places]
    return f'fill in {", ".join(places)}: "{UNANSWERED}" stands there, and commands stop at it'


def _keypoint_notes(count: int, dataset: str = "") -> tuple[str, ...]:
    if count == KEYPOINTS:
        if dataset in _COCO_KEYPOINTS:
            return ()
        note = f"eval reads labels as COCO's {KEYPOINTS} keypoints: this network was trained on"
        return (f"{note} {dataset}, whose {KEYPOINTS} may be others",)
    note = f"eval compares with the labels of {KEYPOINTS} COCO keypoints only: this network has"
    return (f"{note} {count}; `eval --no-labels` and `sensitivity` work",)


def _choices(values: tuple[str, ...], kinds: tuple[str, ...]) -> str:
    lists = (f"[{value.replace(' ', ', ')}]" for value in values)
    return "; ".join(f"{value} ({kind})" for value, kind in zip(lists, kinds, strict=True))


def _comment(text: str) -> str:
    """Make text fit into a comment of TOML, which has no escapes."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _name(stem: str) -> str:
    return stem.lstrip(".").replace("\\", "_") or "model"


def _quoted(path: Path, folder: Path) -> str:
    """Write a path as the project file has it: relative to its folder, unless it is absolute."""
    there = path if path.is_absolute() else Path(os.path.relpath(path, folder))
    return toml_string(there.as_posix())
