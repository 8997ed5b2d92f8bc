"""Sweeps over all layers of the real nets, with labelled persons of COCO's train images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import collect_streaming
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.evaluation.head import HeadSpec
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.sensitivity.sweep import Shown, Sweep

SPEC: Final = InputSpec((192, 256))
MODELS: Final[Mapping[str, tuple[str, tuple[str, ...], HeadSpec]]] = {
    "simplepose_256x192": ("data", ("hybridsequential0_conv7_fwd",), HeadSpec()),
    "tinypose_256x192": ("image", ("save_infer_model/scale_0.tmp_1",), HeadSpec()),
    "simcc_small_256x192": (
        "input",
        ("output0", "output1"),
        HeadSpec("simcc", simcc_split_ratio=1.0),
    ),
}


def real_sweep(real_data: Path, name: str, persons: int) -> Sweep:
    """Calibrate a real net with KL on persons that judge it, too."""
    source, outputs, head = MODELS[name]
    model = real_data / "models" / name
    files = NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), source, outputs)
    network = read_network(files)
    coco = real_data / "coco"
    annotations = coco / "annotations" / "person_keypoints_train2017.json"
    chosen = load_dataset(annotations, coco / "train2017", keypoints=True).persons[:persons]
    shown = tuple(map(Shown, chosen, crops(chosen, SPEC)))
    layers = [layer.name for layer in int8_layers(network)]
    tensors = [one.crop.tensor for one in shown]
    statistics = collect_streaming(network, source, tensors, layers, total=len(tensors))
    content, table = network.sha256, calibrate(network, statistics).table
    return Sweep(files, content, files, content, table, shown, SPEC, head)
