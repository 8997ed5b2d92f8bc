"""A table made from the crops of a calibration set: the work of a child process."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.first_forward import first_not_finite, output_fault
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.compat import (
    CompatMethod,
    calibrate_as_ncnn2table,
    collect_as_ncnn2table,
)
from quantkit.calibration.streaming import collect_streaming, sampled_values
from quantkit.data.coco import Person
from quantkit.data.preprocess import crops
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.calibration_request import BEST, EASY_QUANT, CalibrationRequest
from quantkit.project.config import Project
from quantkit.quantization.int8 import quantize
from quantkit.tuning.easy_quant import easy_quant
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.recipe import Material, Tuned
from quantkit.tuning.tune import tune

_EASY_QUANT_CROPS = 16
"""More gain nothing: tinypose's outputs stand at 9.7 dB with 16 as with 32."""
_SEARCHED = 2048
_FEWEST, _MOST = 8, 32
"""Crops that choose thresholds: the more, the fewer layers there are. With 8, one odd crop decides:
on one half of its training boxes simcc_small ended at 17 dB, with 16 at 24."""
_HELD_OUT = 32
_LEARNED = 128
_CHECKED = 4
"""Crops that are run once a table is made, to see that its int8 outputs are of use."""


def make_table(
    feedback: Feedback,
    project: Project,
    fp32: NcnnFiles,
    persons: Sequence[Person],
    request: CalibrationRequest,
    threads: int,
) -> Tuned:
    """Make the table that is asked for, and the network that it belongs to.

    Args:
        feedback: Told how it goes.
        project: The project.
        fp32: The exported fp32 network.
        persons: The calibration set.
        request: What to do.
        threads: Worker threads.

    Raises:
        InputError: A crop or the network cannot be used.
    """
    network = read_network(fp32)
    if request.method == BEST:
        return _tuned(feedback, project, network, fp32, persons, request, threads)
    feedback.note(f"calibration: {len(persons)} crops")
    options: dict[str, Any] = {
        "total": len(persons),
        "describe": lambda index: f"{persons[index].file_name} ({persons[index].annotation_id})",
    }

    kept = request.kept_fp32(network)
    layers = [layer.name for layer in int8_layers(network) if layer.name not in kept]

    def tensors() -> Iterator[NDArray[np.float32]]:
        return _tensors(project, persons)

    if request.compat:
        searched = request.method == EASY_QUANT
        method = cast("CompatMethod", "kl" if searched else request.method)
        statistics = collect_as_ncnn2table(
            network,
            fp32.input,
            tensors,
            method,
            feedback.progress,
            threads,
            layers=layers,
            **options,
        )
        if searched:
            few = islice(tensors(), _EASY_QUANT_CROPS)
            found = easy_quant(network, statistics, fp32.input, few, feedback.progress, threads)
        else:
            found = calibrate_as_ncnn2table(network, statistics, method)
    else:
        options["sampled"] = sampled_values(request.method)
        statistics = collect_streaming(
            network, fp32.input, tensors(), layers, feedback.progress, threads, **options
        )
        found = calibrate(network, statistics, request.method, keep_hazards=request.keep_hazards)
        if not request.keep_hazards:
            # What ncnn runs wrongly may crash of it.
            checked = list(islice(tensors(), _CHECKED))
            _check_int8(quantize(network, found.around(kept).table), fp32, checked)
    return Tuned(network, found.around(kept), statistics, ())


def _check_int8(int8: Network, fp32: NcnnFiles, crops: Sequence[NDArray[np.float32]]) -> None:
    """Refuse a table whose int8 outputs are constant or not finite."""
    different = list({crop.tobytes(): crop for crop in crops}.values())
    outputs = outputs_on(int8, fp32.input, fp32.outputs, different)
    fault = output_fault(fp32.outputs, outputs)
    if fault is not None:
        place = first_not_finite(int8, fp32.input, different)
        raise InputError(f"the int8 network of this table is of no use: {fault}{place}")


def _tuned(
    feedback: Feedback,
    project: Project,
    network: Network,
    fp32: NcnnFiles,
    persons: Sequence[Person],
    request: CalibrationRequest,
    threads: int,
) -> Tuned:
    kept = request.kept_fp32(network)
    search, held_out = judges(len(persons), len(int8_layers(network)) - len(kept))
    journal = Journal(project.work_dir / "best.jsonl")
    material = Material(
        network=network,
        input=fp32.input,
        outputs=fp32.outputs,
        crops=lambda: _tensors(project, persons),
        total=len(persons),
        search=list(_tensors(project, [persons[k] for k in search])),
        held_out=list(_tensors(project, [persons[k] for k in held_out])),
        learned=list(_tensors(project, _others(persons, held_out)[:_LEARNED])),
        kept_fp32=frozenset(kept),
        threads=threads,
        budget_s=request.budget_s,
        journal=journal,
        feedback=feedback,
    )
    found = tune(material, request.recipe)
    journal.remove()
    return found


def _others(persons: Sequence[Person], held_out: Sequence[int]) -> list[Person]:
    return [person for number, person in enumerate(persons) if number not in held_out]


def judges(count: int, layers: int) -> tuple[list[int], list[int]]:
    """Draw which crops choose thresholds and which judge; a set of one does both.

    Args:
        count: How many crops there are.
        layers: How many layers choose.

    Example:
        >>> search, held_out = judges(128, layers=269)
        >>> len(search), len(held_out), set(search) & set(held_out)
        (8, 32, set())
        >>> len(judges(128, layers=56)[0])
        32
    """
    order = np.random.default_rng(0).permutation(count)
    wanted = min(max(_SEARCHED // max(layers, 1), _FEWEST), _MOST)
    first = min(wanted, max(1, count // 4))
    search, held_out = order[:first], order[first : first + _HELD_OUT]
    chosen = held_out if len(held_out) else search
    return sorted(map(int, search)), sorted(map(int, chosen))


def _tensors(project: Project, persons: Sequence[Person]) -> Iterator[NDArray[np.float32]]:
    return (crop.tensor for crop in crops(persons, project.input))
