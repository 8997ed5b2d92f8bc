"""The network at work on the persons that a calibration set may be chosen from."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from quantkit.backends.child import in_child
from quantkit.calibration.layer_inputs import LayerInputs
from quantkit.calibration.provenance import package_versions
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec, crops
from quantkit.model.eligibility import int8_layers, require_quantizable
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.exporting import export_model
from quantkit.project.person_keys import person_keys
from quantkit.selection.activation_records import ActivationRecords, Rows
from quantkit.selection.activations import Activations
from quantkit.selection.observing import observe
from quantkit.storage import content_key

_SCHEMA: Final = 2
_TIMED: Final = 16
_STAGE: Final = "candidates"
_WORTH_SAYING_S: Final = 5.0


@dataclass(frozen=True)
class Observed:
    """What the network makes of some persons.

    Attributes:
        model_sha256: Content hash of the network.
        activations: Of the persons, in their order.
    """

    model_sha256: str
    activations: Activations


def observed(
    project: Project,
    persons: Sequence[Person],
    feedback: Feedback,
    threads: int = 2,
    *,
    keys: Sequence[bytes] | None = None,
) -> Observed:
    """Show persons to the fp32 network, but for those that it has been shown before.

    What is kept of a person lies under `work_dirs/MODEL/activations/`, under the content of the
    image, the box, the network and the preprocess: a stopped run goes on where it was.

    Args:
        project: The project.
        persons: Whom to show.
        feedback: Told what it will cost, and how it goes.
        threads: How many crops are run at a time.
        keys: Their `person_keys`, where they are at hand.

    Raises:
        InputError: The model or an image cannot be used, or an activation is not finite.
        BackendDied: ncnn died of the network.
    """
    files = export_model(project, feedback).ncnn
    network = read_network(files)
    require_quantizable(network)
    inputs = _inputs(network)
    path = project.work_dir / "activations" / f"{_name(project, network, inputs)}.rows"
    keys = keys or person_keys(persons, feedback)
    records = ActivationRecords(path, len(inputs.blobs))
    missing = {key: one for key, one in zip(keys, persons, strict=True) if key not in records}
    if missing:
        _announce(len(missing), len(persons), len(inputs.blobs), feedback)
        in_child(
            "ncnn, on the candidates",
            feedback,
            _record,
            files,
            project.input,
            path,
            missing,
            threads,
        )
        records = ActivationRecords(path, len(inputs.blobs))
    places = records.places(keys)
    table = records.table()
    layers = {blob: [] for blob in inputs.blobs}  # type: dict[str, list[str]]
    for layer, blob in inputs.sources.items():
        layers[blob].append(layer)
    found = Activations(
        blobs=inputs.blobs,
        layers=tuple(map(tuple, layers.values())),
        absmax=np.array(table["absmax"][places]),
        counts=table["counts"],
        records=places,
    )
    return Observed(network.sha256, found)


def _inputs(network: Network) -> LayerInputs:
    return LayerInputs.of(network, [layer.name for layer in int8_layers(network)])


def _name(project: Project, network: Network, inputs: LayerInputs) -> str:
    return content_key(
        {
            "schema": _SCHEMA,
            "model": network.sha256,
            "blobs": inputs.blobs,
            "spec": asdict(project.input),
            "versions": package_versions(),
        }
    )[:16]


def _announce(missing: int, wanted: int, blobs: int, feedback: Feedback) -> None:
    known = f" ({wanted - missing} of {wanted} are known already)" if missing < wanted else ""
    size = missing * 100 * blobs / 1e6
    feedback.note(f"candidates: one forward of {missing} persons{known}, {size:.0f} MB on disk")


def _record(
    feedback: Feedback,
    files: NcnnFiles,
    spec: InputSpec,
    path: Path,
    missing: dict[bytes, Person],
    threads: int,
) -> None:
    network = read_network(files)
    inputs = _inputs(network)
    persons = list(missing.values())
    rows = observe(
        network,
        files.input,
        inputs,
        (crop.tensor for crop in crops(persons, spec)),
        threads,
        describe=lambda k: f"{persons[k].file_name} ({persons[k].annotation_id})",
    )
    records = ActivationRecords(path, len(inputs.blobs))
    started = time.monotonic()
    for done in records.append(_keyed(missing, rows)):
        feedback.progress(_STAGE, done, len(persons))
        left = (time.monotonic() - started) / done * (len(persons) - done)
        if done == _TIMED and left > _WORTH_SAYING_S:
            feedback.note(f"candidates: about {left:.0f} s more")


def _keyed(missing: dict[bytes, Person], rows: Iterator[Rows]) -> Iterator[tuple[bytes, Rows]]:
    return zip(missing, rows, strict=True)
