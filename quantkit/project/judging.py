"""Sets of persons judged by what their tables leave of the network's outputs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.child import in_child
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.provenance import package_versions
from quantkit.calibration.streaming import collect_streaming, sampled_values
from quantkit.calibration.table import CalibrationTable
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec, crops
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.exporting import export_model
from quantkit.project.person_keys import person_keys
from quantkit.quantization.int8 import quantize
from quantkit.selection.seeded_order import seeded_order
from quantkit.storage import content_key
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import decibels_from_json, decibels_json, decibels_text, worst_db

_JUDGES: Final = 48
_JUDGES_SEED: Final = -1
"""No seed of a set: whom it draws says nothing about who is chosen."""
_SCHEMA: Final = 2


@dataclass(frozen=True)
class _Task:
    files: NcnnFiles
    spec: InputSpec
    method: str
    sets: Mapping[str, tuple[Person, ...]]
    judges: tuple[Person, ...]
    journal: Path
    threads: int


def judged(
    project: Project,
    persons: Sequence[Person],
    sets: Sequence[Sequence[int]],
    *,
    method: str,
    threads: int,
    feedback: Feedback,
    keys: Sequence[bytes] | None = None,
) -> list[float]:
    """Calibrate with each set and measure the int8 network on 48 persons of the pool.

    Who judges is drawn from the pool, whoever is chosen: a threshold that comes from a histogram
    is not fitted to the outputs, so a set that holds some of them gains little by it. What was
    measured is kept in `work_dirs/MODEL/judged.jsonl`, set by set: a stopped run goes on where it
    was.

    Args:
        project: The project.
        persons: The pool.
        sets: Indices into it.
        method: Calibration method.
        threads: How many crops are run at a time.
        feedback: Told how it goes, and how far the sets differ.
        keys: Their `person_keys`, where they are at hand.

    Returns:
        SQNR of the worst output in dB, for each set; minus infinity where outputs are not finite.

    Raises:
        InputError: The model or an image cannot be used, or no set's int8 outputs are finite.
        BackendDied: ncnn died of the network.
    """
    files = export_model(project, feedback).ncnn
    judges = seeded_order(persons, _JUDGES_SEED)[:_JUDGES]
    names = [key.hex() for key in keys or person_keys(persons, feedback)]
    base = {
        "schema": _SCHEMA,
        "model": read_network(files).sha256,
        "blobs": [files.input, *files.outputs],
        "spec": asdict(project.input),
        "method": method,
        "judges": sorted(names[index] for index in judges),
        "versions": package_versions(),
    }
    records = [content_key([base, sorted(names[index] for index in one)]) for one in sets]
    path = project.work_dir / "judged.jsonl"
    journal = Journal(path)
    missing = {
        name: tuple(persons[index] for index in one)
        for name, one in zip(records, sets, strict=True)
        if journal.find(name) is None
    }
    if missing:
        shown = tuple(persons[index] for index in judges)
        task = _Task(files, project.input, method, missing, shown, path, threads)
        in_child("the judging of sets", feedback, _judge, task)
        journal = Journal(path)
    found = [_found(journal, name) for name in records]
    finite = [one for one in found if one > -math.inf]
    if found and not finite:
        message = (
            f"the int8 outputs by {method} are not finite on calibration crops, whichever of"
            f" {len(found)} sets calibrates; rank its layers with 'quantkit sensitivity'"
        )
        raise InputError(message, path=files.param)
    if len(found) > 1:
        lowest = decibels_text(min(finite)).removesuffix(" dB")
        bad = len(found) - len(finite)
        feedback.note(
            f"sets: int8 outputs of {lowest} to {decibels_text(max(finite))} by {method},"
            f" the best of {len(found)} is taken"
            + (f"; {bad} left out, whose int8 outputs are not finite" if bad else "")
        )
    return found


def _found(journal: Journal, name: str) -> float:
    record = journal.find(name)
    assert record is not None
    return decibels_from_json(record["sqnr_db"])


def _judge(feedback: Feedback, task: _Task) -> None:
    network = read_network(task.files)
    ends = task.files.input, task.files.outputs
    shown = list(_tensors(task.judges, task.spec))
    reference = outputs_on(network, *ends, shown, task.threads)
    journal = Journal(task.journal, sync=False)
    for done, (name, persons) in enumerate(task.sets.items(), start=1):
        int8 = quantize(network, _table(network, persons, task))
        decibels = worst_db(reference, outputs_on(int8, *ends, shown, task.threads))
        journal.record(name, {"sqnr_db": decibels_json(decibels, 9)})
        feedback.progress("judging sets", done, len(task.sets))


def _table(network: Network, persons: Sequence[Person], task: _Task) -> CalibrationTable:
    statistics = collect_streaming(
        network,
        task.files.input,
        _tensors(persons, task.spec),
        [layer.name for layer in int8_layers(network)],
        threads=task.threads,
        total=len(persons),
        describe=lambda k: f"{persons[k].file_name} ({persons[k].annotation_id})",
        sampled=sampled_values(task.method),
    )
    return calibrate(network, statistics, task.method).table


def _tensors(persons: Sequence[Person], spec: InputSpec) -> Iterator[NDArray[np.float32]]:
    return (crop.tensor for crop in crops(persons, spec))
