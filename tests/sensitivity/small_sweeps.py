"""A sweep over some layers of the small network, with made-up persons."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec, crop_person
from quantkit.evaluation.head import HeadSpec
from quantkit.model.eligibility import int8_layers
from quantkit.model.weights import LayerWeights, Record
from quantkit.sensitivity.sweep import Shown, Sweep
from tests.nets import INPUT, SIZE, small_network, write_pair

SPEC = InputSpec(SIZE)


def small_sweep(
    folder: Path,
    *,
    persons: int,
    layers: Sequence[str],
    weights: float | None = None,
    keypoints: int = 17,
) -> Sweep:
    """Write the network and calibrate it; `weights` replaces those of the head."""
    rng = np.random.default_rng(0)
    network = small_network(rng, keypoints=keypoints)
    shown = tuple(_shown(rng, number) for number in range(1, persons + 1))
    crops = [one.crop.tensor for one in shown]
    names = [layer.name for layer in int8_layers(network)]
    table = calibrate(network, collect(network, INPUT, lambda: crops, names)).table
    if weights is not None:
        records = dict(network.weights["head"].records)
        values = records["weight"].stored.copy()
        values[:] = weights
        records["weight"] = Record(values, records["weight"].tag)
        network = network.replaced({}, {"head": LayerWeights(records)})
    files = write_pair(network, folder) if weights is None else write_pair(network, folder, "odd")
    content = network.sha256
    scales = table.only(list(layers))
    return Sweep(files, content, files, content, scales, shown, SPEC, HeadSpec(keypoints=keypoints))


def _shown(rng: np.random.Generator, number: int) -> Shown:
    image = rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    person = Person(number, number, Path(f"{number}.png"), f"{number}.png", (5, 5, 60, 80), 2500.0)
    return Shown(person, crop_person(image, person, SPEC))
