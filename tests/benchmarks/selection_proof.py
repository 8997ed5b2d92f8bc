"""How much the choice of calibration crops matters, measured on real networks.

`python -m tests.benchmarks.selection_proof REAL_DATA simplepose --halves 20 --out proof.jsonl`
draws random halves of the pool of training boxes; from each, every strategy chooses sets of 8 to
128 crops, whose tables (`--method kl`, or `best`) are judged twice: on crops of the other half, by
which defaults may be chosen, and on evaluation crops, which are looked at only. One line of JSON a
table; a run that is stopped goes on. `python -m tests.benchmarks.selection_summary proof.jsonl`
sums them up.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.layer_inputs import LayerInputs
from quantkit.data.coco import Person, load_dataset
from quantkit.data.coco_file import read_coco
from quantkit.data.preprocess import crops
from quantkit.evaluation.ap_drop import ApDrop
from quantkit.evaluation.placing import placed
from quantkit.evaluation.predictions import Predictions
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.quantization import quantize
from quantkit.selection.activations import Activations
from quantkit.selection.candidates import Candidates
from quantkit.selection.observing import observe
from quantkit.selection.strategies import STRATEGIES, strategy_named
from quantkit.selection.traits import Traits, measure_traits
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.recipe import Recipe
from quantkit.tuning.sqnr import Outputs, sqnr_db
from quantkit.tuning.tune import tune
from tests.benchmarks.ablation import NETS, SPEC, files_of, material_of
from tests.benchmarks.crop_statistics import CropsStatistics

SIZES = (8, 16, 32, 64, 128)
JUDGES = 24
JUDGES_OF_SETS = 48

Array = NDArray[np.float32]


class Pool:
    """All training boxes, and what the network makes of them."""

    def __init__(self, real: Path, net: str, threads: int) -> None:
        self.threads = threads
        self.files = files_of(real, net)
        self.network = read_network(self.files)
        self._head = NETS[net][3]
        self._coco = real / "coco"
        self._boxes = self._coco / "annotations" / "person_boxes_train2017.json"
        data = load_dataset(self._boxes, self._coco / "train2017", keypoints=False)
        self.persons = data.persons
        self.tensors = [crop.tensor for crop in crops(self.persons, SPEC)]
        self.reference = self.run(self.network, self.tensors)
        self._labels = self._coco / "annotations" / "person_keypoints_val2017.json"
        val = load_dataset(self._labels, self._coco / "val2017", keypoints=True)
        self._judged = val.persons
        self._val = list(crops(val.persons, SPEC))
        self._expected = self.run(self.network, [crop.tensor for crop in self._val])
        self._ap = ApDrop(self._keypoints(self._expected), self._judged, self._labels)

    def run(self, network: Network, tensors: Sequence[Array]) -> list[Outputs]:
        """Run crops."""
        return outputs_on(network, self.files.input, self.files.outputs, tensors, self.threads)

    @cached_property
    def traits(self) -> Traits:
        """How the persons are seen."""
        known = {one.id: one.num_keypoints for one in read_coco(self._boxes).annotations}
        return measure_traits(self.persons, known, SPEC)

    @cached_property
    def activations(self) -> Activations:
        """What the network makes of them."""
        layers = [layer.name for layer in int8_layers(self.network)]
        inputs = LayerInputs.of(self.network, layers)
        rows = observe(self.network, self.files.input, inputs, self.tensors, self.threads)
        table = np.array(list(rows))
        names = tuple((blob,) for blob in inputs.blobs)
        places = np.arange(len(table))
        return Activations(inputs.blobs, names, table["absmax"], table["counts"], places)

    @cached_property
    def _statistics(self) -> CropsStatistics:
        layers = [layer.name for layer in int8_layers(self.network)]
        return CropsStatistics(self.network, self.files.input, layers, self.tensors)

    def candidates(self, half: Sequence[int]) -> Candidates:
        """Show a half of them to strategies; the first of it in a random order judge sets."""
        judges = np.random.default_rng(0).permutation(half)[:JUDGES_OF_SETS].tolist()

        def judge(sets: Sequence[Sequence[int]]) -> list[float]:
            return [self.train_db(self.kl(chosen)[0], judges) for chosen in sets]

        whole = Candidates(self.persons, lambda: self.traits, lambda: self.activations, judge)
        return whole.take(half)

    def best(self, chosen: Sequence[int], learning: int) -> tuple[Network, dict[str, float]]:
        """Calibrate with some of the crops by the steps of `best`."""
        tensors = [self.tensors[index] for index in chosen]
        material = material_of(self.network, self.files, tensors, self.threads)
        found = tune(material, Recipe(learning=learning))
        table = found.calibration.table
        return quantize(found.network, table), dict(table.activation_scales)

    def kl(self, chosen: Sequence[int]) -> tuple[Network, dict[str, float]]:
        """Calibrate with some of the crops by KL."""
        table = calibrate(self.network, self._statistics.of(chosen), "kl").table
        return quantize(self.network, table), dict(table.activation_scales)

    def train_db(self, int8: Network, judges: Sequence[int]) -> float:
        """Measure the output SQNR of an int8 network on training crops."""
        outputs = self.run(int8, [self.tensors[index] for index in judges])
        return sqnr_db([self.reference[index] for index in judges], outputs)

    def figures(self, int8: Network, judges: Sequence[int]) -> dict[str, Any]:
        """Judge an int8 network on training crops and on evaluation crops."""
        outputs = self.run(int8, [crop.tensor for crop in self._val])
        drop, interval = self._ap.of(self._keypoints(outputs))
        return {
            "train_db": self.train_db(int8, judges),
            "val_db": sqnr_db(self._expected, outputs),
            "drop": drop,
            "interval": interval,
        }

    def _keypoints(self, outputs: Sequence[Outputs]) -> Predictions:
        shown: Iterator[tuple[Person, Any]] = zip(self._judged, self._val, strict=True)
        return placed(shown, outputs, SPEC, self._head)[1]


def halved(count: int, half: int) -> tuple[list[int], list[int]]:
    """Draw a half of a pool to choose from, and judges from the other."""
    order = np.random.default_rng(half).permutation(count)
    middle = count // 2
    return sorted(order[:middle].tolist()), order[middle : middle + JUDGES].tolist()


def main() -> None:
    """Measure one net."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--method", choices=("kl", "best"), default="kl")
    parser.add_argument("--learning", type=int, default=Recipe.learning)
    parser.add_argument("--halves", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    pool, journal = Pool(given.real, given.net, given.threads), Journal(given.out, sync=False)
    for half, size, name in product(range(given.halves), given.sizes, given.strategies):
        key = f"{given.net} {given.method} {name} {size} {half}"
        if journal.find(key) is not None:
            continue
        mine, judges = halved(len(pool.persons), half)
        places = strategy_named(name)(pool.candidates(mine), size, half)
        chosen = [mine[place] for place in places]
        best = given.method == "best"
        int8, scales = pool.best(chosen, given.learning) if best else pool.kl(chosen)
        found = pool.figures(int8, judges)
        journal.record(key, {**found, "scales": scales})
        sys.stderr.write(f"{key}: train {found['train_db']:.2f}, val {found['val_db']:.2f} dB\n")


if __name__ == "__main__":
    main()
