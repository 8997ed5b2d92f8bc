"""What each step of `best` gives on a real network: output SQNR and AP on evaluation crops.

`python -m tests.benchmarks.ablation REAL_DATA simplepose --half 0 [--fp32-share 0.02]` calibrates
on a random half of the training boxes and prints, after each step, the figures of the int8 network
that is kept then. Evaluation crops are for these figures alone; steps are chosen on training crops.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.compat import calibrate_as_ncnn2table, collect_as_ncnn2table
from quantkit.calibration.table import CalibrationTable
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.preprocess import Crop, InputSpec, crops
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.decode import decode, to_image
from quantkit.evaluation.evaluate import Evaluation, score
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.predictions import PersonPrediction, Predictions
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.table_making import judges
from quantkit.quantization import quantize
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.recipe import Material, Recipe, Step
from quantkit.tuning.sqnr import Outputs, sqnr_db
from quantkit.tuning.tune import tune

SPEC = InputSpec((192, 256))
SIMCC = HeadSpec(type="simcc", simcc_split_ratio=1.0)
NETS = {
    "simplepose": (
        "simplepose_256x192",
        "data",
        ("hybridsequential0_conv7_fwd",),
        HeadSpec(),
    ),
    "tinypose": ("tinypose_256x192", "image", ("save_infer_model/scale_0.tmp_1",), HeadSpec()),
    "simcc": ("simcc_small_256x192", "input", ("output0", "output1"), SIMCC),
}
MOST_CROPS = 128

Array = NDArray[np.float32]
Report = Callable[[str, Network, CalibrationTable], None]


@dataclass(frozen=True)
class Validation:
    """Evaluation crops, and what the fp32 network makes of them."""

    files: NcnnFiles
    head: HeadSpec
    dataset: PoseDataset
    crops: Sequence[Crop]
    reference: Sequence[Outputs]

    @classmethod
    def of(cls, real: Path, net: str) -> "Validation":
        """Run the fp32 network of a net on the evaluation crops."""
        coco = real / "coco"
        dataset = load_dataset(
            coco / "annotations" / "person_keypoints_val2017.json",
            coco / "val2017",
            keypoints=True,
        )
        found = list(crops(dataset.persons, SPEC))
        files, head = files_of(real, net), NETS[net][3]
        reference = run(read_network(files), files, [crop.tensor for crop in found])
        return cls(files, head, dataset, found, reference)

    def row(self, int8: Network) -> str:
        """Measure an int8 network."""
        outputs = run(int8, self.files, [crop.tensor for crop in self.crops])
        fp32, got = self._scored(self.reference), self._scored(outputs)
        drop = fp32.figures.ap - got.figures.ap
        low, high = drop_interval(fp32.matches, got.matches)
        return (
            f"{sqnr_db(self.reference, outputs):5.2f} dB  AP {got.figures.ap:.4f}"
            f"  drop {drop:+.4f} [{low:+.4f}, {high:+.4f}]"
        )

    def _scored(self, outputs: Sequence[Outputs]) -> Evaluation:
        rows = []
        for person, crop, output in zip(self.dataset.persons, self.crops, outputs, strict=True):
            vectors = tuple(x[0] if x.ndim == 3 and len(output) > 1 else x for x in output)
            keypoints, scores = decode(vectors, self.head, SPEC)
            rows.append(
                PersonPrediction(
                    person.annotation_id,
                    person.image_id,
                    to_image(keypoints, crop, SPEC).astype(float),
                    scores,
                    float(crop.scale.prod()),
                )
            )
        return score(Predictions.of(rows), self.dataset)


def files_of(real: Path, net: str) -> NcnnFiles:
    """Find a net of the real data."""
    name, source, outputs, _ = NETS[net]
    model = real / "models" / name
    return NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), source, outputs)


def run(network: Network, files: NcnnFiles, tensors: Sequence[Array]) -> list[Outputs]:
    """Run crops on two threads."""
    return outputs_on(network, files.input, files.outputs, tensors)


def half_of_the_boxes(real: Path, half: int) -> list[Array]:
    """Cut the crops of a random half of the training boxes, the first 128 of it."""
    coco = real / "coco"
    annotations = coco / "annotations" / "person_boxes_train2017.json"
    persons = load_dataset(annotations, coco / "train2017", keypoints=False).persons
    order = np.random.default_rng(half).permutation(len(persons))
    chosen = sorted(order[: len(persons) // 2][:MOST_CROPS].tolist())
    return [crop.tensor for crop in crops([persons[k] for k in chosen], SPEC)]


def material_of(
    network: Network, files: NcnnFiles, tensors: Sequence[Array], threads: int = 2
) -> Material:
    """Give `best` some crops, parted as `quantkit calibrate` does."""
    search, held_out = judges(len(tensors), len(int8_layers(network)))
    return Material(
        network=network,
        input=files.input,
        outputs=files.outputs,
        crops=lambda: iter(tensors),
        total=len(tensors),
        search=[tensors[k] for k in search],
        held_out=[tensors[k] for k in held_out],
        learned=[x for k, x in enumerate(tensors) if k not in held_out],
        threads=threads,
    )


def ablate(real: Path, net: str, half: int, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Take the steps of a recipe and measure after each."""
    validation = Validation.of(real, net)
    files = validation.files
    network, tensors = read_network(files), half_of_the_boxes(real, half)

    def report(what: str, prepared: Network, table: CalibrationTable) -> None:
        say(f"{net} half {half}  {what:<34}{validation.row(quantize(prepared, table))}")

    statistics = collect_as_ncnn2table(network, files.input, lambda: tensors, "kl")
    theirs = calibrate_as_ncnn2table(network, statistics, "kl").table
    report("ncnn2table's kl", network, theirs)
    report("kl, 8 bits for 3x3", network, calibrate(network, statistics, "kl").table)

    def observe(step: Step, prepared: Network, table: CalibrationTable) -> None:
        name = step.name if step.kept else f"({step.name})"
        report(f"{name}, {step.seconds:.0f} s", prepared, table)

    material = material_of(network, files, tensors)
    feedback = Feedback(note=lambda note: say(f"{net} half {half}  {note}"))
    tune(replace(material, feedback=feedback), recipe, observe)


def main() -> None:
    """Take one half of one net."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--half", type=int, default=0)
    parser.add_argument("--fp32-share", type=float, default=0.0)
    parser.add_argument("--learning", type=int, default=Recipe.learning)
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--no-equalize", action="store_true")
    given = parser.parse_args()
    recipe = Recipe(
        equalize=not given.no_equalize,
        fp32_share=given.fp32_share,
        learning=given.learning,
        forms=given.forms,
    )
    ablate(given.real, given.net, given.half, recipe, lambda line: _say(f"{line}\n"))


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
