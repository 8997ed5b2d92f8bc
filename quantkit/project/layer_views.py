"""The worst layers of a ranking looked at from inside: their inputs, once more, and weights."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from quantkit.backends.child import in_child
from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.methods import METHODS, MethodName
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec
from quantkit.data.preprocess import crops as crop_stream
from quantkit.errors import InputError
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.calibrating import ready_table
from quantkit.project.choosing import open_set
from quantkit.project.config import Project
from quantkit.project.table_location import find_table
from quantkit.quantization.lint_levels import used_levels, weight_rows
from quantkit.report.layer_view import LayerView
from quantkit.selection.resolve import resolve
from quantkit.sensitivity.report import SensitivityReport
from quantkit.storage import sha256_bytes

WORST: Final = 4
CROPS: Final = 128
"""Rare crops hold the values that decide thresholds: with 8 of them simplepose's largest input is
8.3 where it is 166 with all."""
_LEVELS: Final = 127
_OTHERS: Final[tuple[MethodName, ...]] = ("kl", "mse")


def worst_views(
    project: Project, ranking: SensitivityReport, *, threads: int = 2, feedback: Feedback
) -> tuple[LayerView, ...]:
    """Collect the statistics of the worst layers again; a calibration keeps no histograms.

    Args:
        project: The project.
        ranking: Names the layers, and the table and the network that they were judged with.
        threads: How many crops are run at a time.
        feedback: Told how it goes.

    Raises:
        InputError: The table or the network is not the one of the ranking, or cannot be read.
        BackendDied: ncnn died of the network.
    """
    named = project.root / ranking.table_file if ranking.table_file else ranking.table
    path = find_table(project, named)
    if not path.is_file():
        raise InputError("the table of the ranking is not there any more", path=path)
    calibrated = ready_table(project, path, threads=threads, feedback=feedback)
    table = read_table(path)
    if sha256_bytes(table.text().encode()) != ranking.table_sha256:
        raise InputError("is another table than the layers were ranked with", path=path)
    if read_network(calibrated.prepared).sha256 != ranking.model_sha256:
        raise InputError("belongs to another network than the one that was ranked", path=path)
    chosen = open_set(project, ranking.calibration_set, feedback)
    persons = resolve(chosen, project.calibration.images)
    persons = persons[:: max(1, len(persons) // CROPS)][:CROPS]
    names = [layer.name for layer in ranking.layers[:WORST]]
    return in_child(
        "the look at the worst layers",
        feedback,
        look_at,
        calibrated.prepared,
        table,
        names,
        persons,
        project.input,
        threads,
    )


def look_at(
    feedback: Feedback,
    files: NcnnFiles,
    table: CalibrationTable,
    names: Sequence[str],
    persons: Sequence[Person],
    spec: InputSpec,
    threads: int,
) -> tuple[LayerView, ...]:
    """Look at layers: the work of a child process.

    Args:
        feedback: Told how it goes.
        files: The fp32 network that the table belongs to.
        table: Holds scales of every layer that is looked at.
        names: Of the layers.
        persons: Whom the network is shown.
        spec: How they become crops.
        threads: How many crops are run at a time.

    Raises:
        InputError: A crop cannot be read, or an activation is not finite.
    """
    network = read_network(files)
    crops = (crop.tensor for crop in crop_stream(persons, spec))
    found = collect_streaming(
        network, files.input, crops, names, feedback.progress, threads, total=len(persons)
    )
    return tuple(_view(network, table, name, found[name], len(persons)) for name in names)


def _view(
    network: Network, table: CalibrationTable, name: str, seen: BlobStatistics, crops: int
) -> LayerView:
    layer = network.param.layer(name)
    rows = weight_rows(network, layer)
    others = _OTHERS if seen.absmax > 0 else ()
    return LayerView(
        name=name,
        type=layer.type,
        crops=crops,
        statistics=seen,
        threshold=_LEVELS / table.activation_scales[name],
        others={method: METHODS[method](seen) for method in others},
        weight_absmax=np.abs(rows).max(axis=1),
        levels=used_levels(rows, table.weight_scales[name]),
    )
