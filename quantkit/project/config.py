"""quantkit.toml: the model, the preprocess, the head and the data sets. Nothing else reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast, get_args

from quantkit.data.coco_file import KEYPOINTS
from quantkit.data.preprocess import Color, InputSpec, Warp
from quantkit.errors import InputError
from quantkit.evaluation.head import Decode, HeadSpec, HeadType
from quantkit.evaluation.nms import Nms
from quantkit.evaluation.scoring import ScoreMode
from quantkit.evaluation.simcc import dark_kernel
from quantkit.model.mmlab.spec import describe
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.project.toml import Section, read_toml

PROJECT_FILE = "quantkit.toml"

ModelSource = MMPoseSource | OnnxFile | NcnnFiles

SIDES: Final = (8, 8192)
"""The smallest and the largest side of an input in pixels."""

_SEPARATORS = frozenset("/\\\0")

_LABELLED = "gt"

MIN_OPSET, MAX_OPSET = 11, 20
"""What mmdeploy's rewriters start with, and the last that torch's tracing exporter knows."""

_NORMALISATION: Final = (
    "fill in what the network was trained with, or run init again with --overwrite and it"
    " (ImageNet's: --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375 --color rgb)"
)
_HINTS: Final = {
    "input": dict.fromkeys(("mean", "std", "color"), _NORMALISATION),
    "head": {"type": "fill in heatmap, simcc or none, or run init again with --head --overwrite"},
    "source": {
        "outputs": "fill in the list of the outputs that the head decodes (of a SimCC head x, then"
        " y), or run init again with --overwrite and --output NAME"
    },
}

_DECODES: Final[Mapping[HeadType, tuple[str, ...]]] = {
    "heatmap": get_args(Decode),
    "simcc": ("default", "dark"),
    "none": ("default",),
}


@dataclass(frozen=True)
class DataPaths:
    """One data set of the project.

    Attributes:
        annotations: The COCO file.
        images: The folder of its images.
        boxes: A COCO detections file to take the boxes from; None for those of the annotations.
        box_threshold: The least score of a detection.
        nms: Whether near-duplicates of a person are removed before scoring.
        score_mode: What a person's score is made of.
        keypoint_threshold: Confidences up to it do not enter the score `bbox_keypoint`.
    """

    annotations: Path
    images: Path
    boxes: Path | None = None
    box_threshold: float = 0.0
    nms: Nms = "none"
    score_mode: ScoreMode = "bbox_keypoint"
    keypoint_threshold: float = 0.2


@dataclass(frozen=True)
class Project:
    """What a project file says, with every path resolved.

    Attributes:
        root: Folder of the project file; results are written below it.
        name: Name of the model, used in the names of folders.
        source: The network in the form it was given.
        input: What a person crop becomes.
        head: How outputs become keypoints.
        val: Data that is evaluated on, never calibrated on.
        calibration: Data that calibration crops are chosen from.
    """

    root: Path
    name: str
    source: ModelSource
    input: InputSpec
    head: HeadSpec
    val: DataPaths
    calibration: DataPaths

    @property
    def work_dir(self) -> Path:
        """Folder of everything that can be made again."""
        return self.root / "work_dirs" / self.name

    @property
    def tables_dir(self) -> Path:
        """Folder of the calibration tables of this model."""
        return self.root / "tables" / self.name

    @property
    def calib_sets_dir(self) -> Path:
        """Folder of the calibration-set manifests."""
        return self.root / "calib_sets"


def checked_name(name: str) -> str:
    """Take a name of which a file of the project is made.

    Raises:
        InputError: It would lead to another folder.

    Example:
        >>> checked_name("../kl")
        Traceback (most recent call last):
        quantkit.errors.InputError: '../kl' becomes the name of a file: give one without a path
    """
    if not name or _is_path(name):
        message = f"{name!r} becomes the name of a file: give one without a path"
        raise InputError(message)
    return name


def find_project(folder: Path) -> Path | None:
    """Find the project file of a folder, or of the nearest folder above it."""
    for candidate in (folder, *folder.parents):
        path = candidate / PROJECT_FILE
        if path.is_file():
            return path
    return None


def load_project(path: Path, *, flip_test: bool = False) -> Project:
    """Read a project file; what it leaves out of [input] and [head] comes from the mmpose config.

    Args:
        path: The file, or the folder that holds it.
        flip_test: Turn the flip test on, whatever the file says.

    Raises:
        InputError: The file is missing or wrong; the key is named.
        Unavailable: The mmpose config has to be read and mmpose is absent.
    """
    path = path / PROJECT_FILE if path.is_dir() else path
    top = read_toml(path)
    root = path.resolve().parent
    name, source = _model(top.section("model"), root)
    data = top.section("data")
    inputs, head = top.section("input"), top.section("head")
    flip_test = head.boolean("flip_test", default=False) or flip_test
    inputs.must_be_answered(_HINTS["input"])
    head.must_be_answered(_HINTS["head"])
    complete = _is_complete(inputs, head, flip_test=flip_test)
    defaults = None if complete else _mmpose_defaults(source)
    project = Project(
        root=root,
        name=name,
        source=source,
        input=_input(inputs, defaults[0] if defaults else None),
        head=_with_keypoints(
            _head(head, defaults[1] if defaults else None, flip_test=flip_test),
            top.section("keypoints"),
            defaults[1] if defaults else None,
        ),
        val=_data(data.section("val"), root, evaluated=True),
        calibration=_data(data.section("calibration"), root, evaluated=False),
    )
    if flip_test and not project.head.has_sigmas:
        message = (
            f"the flip test knows the pairs of COCO's {KEYPOINTS} keypoints, this network has"
            f" {project.head.keypoints_text}: leave it off"
        )
        raise InputError(message, path=path)
    data.close()
    top.close()
    return project


def _model(section: Section, root: Path) -> tuple[str, ModelSource]:
    name = section.string("name")
    if _is_path(name):
        raise section.error("name", f"becomes the name of a folder, so {name!r} cannot be used")
    given = [key for key in ("mmpose", "onnx", "ncnn") if key in section]
    if len(given) != 1:
        raise section.error("", "name one source of the network: mmpose, onnx or ncnn")
    inner = section.section(given[0])
    inner.must_be_answered(_HINTS["source"])
    source = {"mmpose": _mmpose_source, "onnx": _onnx_source, "ncnn": _ncnn_source}[given[0]](
        inner, root
    )
    inner.close()
    section.close()
    return name, source


def _mmpose_source(section: Section, root: Path) -> ModelSource:
    config = section.string("config")
    local = root / config
    checkpoint = root / section.string("checkpoint") if "checkpoint" in section else None
    is_file = config.endswith(".py") or local.is_file()
    return MMPoseSource(
        config=str(local) if is_file else config,
        checkpoint=checkpoint,
        opset=_opset(section) if "opset" in section else None,
    )


def _opset(section: Section) -> int:
    opset = section.number("opset")
    if opset != int(opset) or not MIN_OPSET <= opset <= MAX_OPSET:
        message = f"expected a whole number from {MIN_OPSET} to {MAX_OPSET}, got {opset:g}"
        raise section.error("opset", message)
    return int(opset)


def _onnx_source(section: Section, root: Path) -> ModelSource:
    return OnnxFile(
        path=root / section.string("file"),
        input=section.string("input"),
        outputs=section.strings("outputs"),
    )


def _ncnn_source(section: Section, root: Path) -> ModelSource:
    return NcnnFiles(
        param=root / section.string("param"),
        bin=root / section.string("bin"),
        input=section.string("input"),
        outputs=section.strings("outputs"),
    )


def _is_complete(inputs: Section, head: Section, *, flip_test: bool) -> bool:
    # What is absent is read from the mmpose config, which costs an import.
    keys = ("size", "mean", "std", "color", "padding", "udp")
    if not all(key in inputs for key in keys) or not ("type" in head and "decode" in head):
        return False
    decode = head.string("decode")
    needed = {
        "simcc_split_ratio": head.string("type") == "simcc",
        "simcc_sigma": head.string("type") == "simcc" and decode == "dark",
        "blur_kernel_size": head.string("type") != "simcc" and decode != "default",
        "radius_factor": decode == "udp_combined",
        "shift_heatmap": head.string("type") != "simcc" and flip_test,
    }
    return all(key in head for key, wanted in needed.items() if wanted)


def _mmpose_defaults(source: ModelSource) -> tuple[InputSpec, HeadSpec] | None:
    if not isinstance(source, MMPoseSource):
        return None
    spec = describe(source.config)
    return (
        InputSpec(
            size=spec.size,
            mean=spec.mean,
            std=spec.std,
            color=spec.color,
            padding=spec.padding,
            udp=spec.udp,
        ),
        HeadSpec(
            type=spec.head,
            decode=spec.decode,
            keypoints=spec.keypoints,
            simcc_split_ratio=spec.simcc_split_ratio,
            blur_kernel_size=spec.blur_kernel_size,
            simcc_sigma=spec.simcc_sigma,
            radius_factor=spec.radius_factor,
            shift_heatmap=spec.shift_heatmap,
        ),
    )


def _input(section: Section, default: InputSpec | None) -> InputSpec:
    size = section.numbers("size", 2, default.size if default else None)
    if any(side != int(side) or not SIDES[0] <= side <= SIDES[1] for side in size):
        raise section.error("size", f"expected [width, height] in whole pixels, got {list(size)}")
    color = section.choice("color", get_args(Color), default.color if default else None)
    channels = 1 if color == "gray" else 3
    std = section.numbers("std", channels, default.std if default else None)
    if any(value <= 0 for value in std):
        raise section.error("std", "every value must be above 0")
    spec = InputSpec(
        size=(int(size[0]), int(size[1])),
        mean=section.numbers("mean", channels, default.mean if default else None),
        std=std,
        color=cast("Color", color),
        padding=section.number("padding", default.padding if default else 1.25),
        udp=section.boolean("udp", default=default.udp if default else False),
        warp=cast("Warp", section.choice("warp", get_args(Warp), "exact")),
    )
    section.close()
    return spec


def _head(section: Section, default: HeadSpec | None, *, flip_test: bool) -> HeadSpec:
    kind = section.choice("type", get_args(HeadType), default.type if default else None)
    decodes = _DECODES[cast("HeadType", kind)]
    decode = section.choice("decode", decodes, default.decode if default else "default")
    default = default or HeadSpec()
    spec = HeadSpec(
        type=cast("HeadType", kind),
        decode=cast("Decode", decode),
        simcc_split_ratio=section.number("simcc_split_ratio", default.simcc_split_ratio),
        blur_kernel_size=_blur(section, default),
        simcc_sigma=_sigma(section, default),
        radius_factor=section.number("radius_factor", default.radius_factor),
        flip_test=flip_test,
        shift_heatmap=section.boolean("shift_heatmap", default=default.shift_heatmap),
    )
    section.close()
    return spec


def _with_keypoints(head: HeadSpec, section: Section, default: HeadSpec | None) -> HeadSpec:
    if head.type == "none":
        section.close()
        return replace(head, keypoints=0)
    return replace(head, keypoints=_keypoints(section, default))


def _keypoints(section: Section, default: HeadSpec | None) -> int:
    known = default.keypoints if default else None
    count = section.number("count", known or KEYPOINTS)
    if count != int(count):
        raise section.error("count", f"expected a whole number, got {count:g}")
    if count != (known or count):
        raise section.error("count", f"is {count:g}, but the head of the mmpose config has {known}")
    section.close()
    return int(count)


def _blur(section: Section, default: HeadSpec) -> int:
    blur = section.number("blur_kernel_size", default.blur_kernel_size)
    if blur != int(blur) or blur % 2 == 0:
        raise section.error("blur_kernel_size", f"expected an odd whole number, got {blur:g}")
    return int(blur)


def _sigma(section: Section, default: HeadSpec) -> tuple[float, float]:
    along_x, along_y = section.numbers("simcc_sigma", 2, default.simcc_sigma)
    if any(dark_kernel(sigma) < 3 for sigma in (along_x, along_y)):
        raise section.error("simcc_sigma", f"0.8 bins is the least, got {[along_x, along_y]}")
    return along_x, along_y


def _data(section: Section, root: Path, *, evaluated: bool) -> DataPaths:
    paths = DataPaths(
        annotations=root / section.string("annotations"), images=root / section.string("images")
    )
    if evaluated:
        paths = _with_score(_with_boxes(paths, section, root), section)
    section.close()
    return paths


def _with_boxes(paths: DataPaths, section: Section, root: Path) -> DataPaths:
    boxes = section.string("boxes", _LABELLED)
    if boxes == _LABELLED and "box_threshold" in section:
        raise section.error("box_threshold", "the boxes of the annotations have no score")
    return replace(
        paths,
        boxes=None if boxes == _LABELLED else root / boxes,
        box_threshold=section.number("box_threshold") if "box_threshold" in section else 0.0,
    )


def _with_score(paths: DataPaths, section: Section) -> DataPaths:
    mode = section.choice("score_mode", get_args(ScoreMode), paths.score_mode)
    if mode != "bbox_keypoint" and "keypoint_threshold" in section:
        raise section.error("keypoint_threshold", f"score mode {mode!r} has no threshold")
    # Annotations hold a person once, a detector may find it twice.
    nms = section.choice("nms", get_args(Nms), "none" if paths.boxes is None else "oks_nms")
    return replace(
        paths,
        nms=cast("Nms", nms),
        score_mode=cast("ScoreMode", mode),
        keypoint_threshold=section.number(
            "keypoint_threshold", paths.keypoint_threshold, zero=True
        ),
    )


def _is_path(name: str) -> bool:
    return name.startswith(".") or not _SEPARATORS.isdisjoint(name)
