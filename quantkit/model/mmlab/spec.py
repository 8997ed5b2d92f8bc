"""What an MMPose config says about the crop that goes in and the head whose outputs come out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from quantkit.errors import InputError
from quantkit.model.mmlab.config import load_config, missing_packages

_HEATMAP_HEADS: Final = ("HeatmapHead", "CPMHead", "MSPNHead", "ViPNASHead", "VisPredictHead")
_SIMCC_HEADS: Final = ("SimCCHead", "RTMCCHead")
_DEFAULT_PADDING: Final = 1.25

_Decode = Literal["default", "dark", "udp", "udp_combined"]


@dataclass(frozen=True)
class MMPoseSpec:
    """The parts of a config that preprocessing and decoding need, as plain values.

    Args:
        size: (width, height) of the input.
        mean: Mean of each channel, in the network's channel order, for pixels of 0 to 255.
        std: Standard deviation of each channel.
        color: Channel order of the network's input.
        padding: Factor by which the person box is enlarged.
        udp: Whether the crop is the unbiased one of UDP.
        head: The kind of head.
        decode: How its outputs become keypoints.
        simcc_split_ratio: SimCC bins for each pixel of the input.
        blur_kernel_size: Kernel of DARK's and UDP's smoothing.
        simcc_sigma: Gaussians in bins, along x and y, that a SimCC head was trained on.
        radius_factor: Unit of the offsets of UDP's combined maps.
        shift_heatmap: Whether a flip test moves the mirrored heatmaps by a pixel.
        keypoints: How many keypoints the head gives.
        dataset: MMPose's name of the kind of data that it was trained on; empty where the config
            does not say.
        missing: What packages its network needs and does not find here; empty where none.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color: Literal["rgb", "bgr"]
    padding: float
    udp: bool
    head: Literal["heatmap", "simcc"]
    decode: _Decode
    simcc_split_ratio: float
    blur_kernel_size: int
    simcc_sigma: tuple[float, float]
    radius_factor: float
    shift_heatmap: bool
    keypoints: int
    dataset: str = ""
    missing: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs of an export."""
        return ("heatmap",) if self.head == "heatmap" else ("simcc_x", "simcc_y")


def describe(config: str) -> MMPoseSpec:
    """Read the input and the head of a top-down config.

    Args:
        config: A path to a .py file, or the name of a config that MMPose ships.

    Raises:
        InputError: The config is wrong, or is not of a top-down heatmap or SimCC network.
        Unavailable: MMPose is not installed.
    """
    loaded = load_config(config)
    try:
        spec = _spec(loaded.model.to_dict(), _pipeline(loaded), config)
        dataset = str(loaded.get("dataset_type") or "")
        return replace(spec, dataset=dataset, missing=missing_packages(loaded) or "")
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        message = f"is not a top-down mmpose config: {type(error).__name__} {error}"
        raise InputError(message, path=config) from error


def _spec(
    model: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]], path: str
) -> MMPoseSpec:
    if model["type"].rpartition(".")[2] != "TopdownPoseEstimator":
        message = f"its model is a {model['type']}; only TopdownPoseEstimator is supported"
        raise InputError(message, path=path)
    head = model["head"]
    codec = head["decoder"][-1] if isinstance(head["decoder"], list) else head["decoder"]
    prepare = model.get("data_preprocessor") or {}
    width, height = codec["input_size"]
    kind = _head(head["type"], path)
    decode = _decode(codec, path)
    # UDP's combined maps are three a keypoint.
    maps = 3 if decode == "udp_combined" else 1
    return MMPoseSpec(
        size=(int(width), int(height)),
        mean=_triple(prepare.get("mean") or (0.0, 0.0, 0.0)),
        std=_triple(prepare.get("std") or (1.0, 1.0, 1.0)),
        color="rgb" if prepare.get("bgr_to_rgb") else "bgr",
        padding=float(steps.get("GetBBoxCenterScale", {}).get("padding", _DEFAULT_PADDING)),
        udp=bool(steps.get("TopdownAffine", {}).get("use_udp", False)),
        head=kind,
        decode=decode,
        simcc_split_ratio=float(codec.get("simcc_split_ratio", 2.0)),
        blur_kernel_size=int(codec.get("blur_kernel_size", 11)),
        simcc_sigma=_pair(codec.get("sigma", 6.0) if kind == "simcc" else 6.0),
        radius_factor=float(codec.get("radius_factor", 0.0546875)),
        shift_heatmap=bool((model.get("test_cfg") or {}).get("shift_heatmap", False)),
        keypoints=int(head["out_channels"]) // maps,
    )


def _pipeline(loaded: Any) -> dict[str, Mapping[str, Any]]:
    steps = loaded.get("val_pipeline")
    if steps is None:
        loader = loaded.get("test_dataloader") or loaded.get("val_dataloader")
        steps = loader.dataset.pipeline if loader else ()
    return {step["type"].rpartition(".")[2]: step for step in steps}


def _head(kind: str, path: str) -> Literal["heatmap", "simcc"]:
    name = kind.rpartition(".")[2]
    if name in _HEATMAP_HEADS:
        return "heatmap"
    if name in _SIMCC_HEADS:
        return "simcc"
    message = f"its head is a {kind}; heatmap and SimCC heads are supported"
    raise InputError(message, path=path)


def _decode(codec: Mapping[str, Any], path: str) -> _Decode:
    kind = codec["type"].rpartition(".")[2]
    if kind == "UDPHeatmap":
        return "udp_combined" if codec.get("heatmap_type") == "combined" else "udp"
    if kind == "MSRAHeatmap":
        return "dark" if codec.get("unbiased") else "default"
    if kind == "SimCCLabel":
        return "dark" if codec.get("use_dark") else "default"
    message = f"its decoder is a {kind}; MSRAHeatmap, UDPHeatmap and SimCCLabel are supported"
    raise InputError(message, path=path)


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _pair(values: Any) -> tuple[float, float]:
    along_x, along_y = values if isinstance(values, list | tuple) else (values, values)
    return float(along_x), float(along_y)
