"""One layer in int8 at a time, on the real ncnn runtime, judged by the network's own outputs."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Progress, silent
from quantkit.quantization.int8 import quantize
from quantkit.sensitivity.isolated_map import Died, isolated_map
from quantkit.storage import content_key, sha256_bytes
from quantkit.tuning.sqnr import Outputs, sqnr_db

ALL_LAYERS = "*"
"""The task that puts every layer of the table in int8."""

_SQNR, _DIED = "sqnr_db", "died"
# Deaths that a layer causes; a child that somebody else ended is tried again by the next run.
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")

Crops = Sequence[NDArray[np.float32]]
Measurement = dict[str, Any]


@dataclass(frozen=True)
class LayerSweep:
    """What a sweep over the layers is made of; everything that its results depend on.

    Attributes:
        files: The fp32 network.
        table: The calibration table whose scales are tried.
        crops: Inputs of shape (3, height, width), from calibration data.
    """

    files: NcnnFiles
    table: CalibrationTable
    crops: Crops

    def key(self, model_sha256: str, versions: dict[str, str]) -> str:
        """Name what every measurement of this sweep depends on, but for the layer."""
        pixels = [sha256_bytes(np.ascontiguousarray(crop).tobytes()) for crop in self.crops]
        return content_key(
            {
                "model": model_sha256,
                "blobs": [self.files.input, *self.files.outputs],
                "table": self.table.text(),
                "crops": pixels,
                "metric": _SQNR,
                "versions": versions,
            }
        )


def sweep_layers(
    sweep: LayerSweep,
    key: str,
    journal: Path,
    *,
    workers: int = 2,
    progress: Progress = silent,
) -> dict[str, Measurement]:
    """Measure every layer of a table alone in int8, and all of them together.

    Each layer runs in a child process; a layer that crashes the runtime is recorded with the
    signal. What the journal holds under `key` is not measured again.

    Args:
        sweep: The network, the table and the crops.
        key: What the measurements depend on, from `LayerSweep.key`.
        journal: File that keeps finished layers.
        workers: Child processes, one thread each.
        progress: Told after each layer.

    Returns:
        Layer name (or `ALL_LAYERS`) to `{"sqnr_db": float | None, "died": str | None}`.

    Raises:
        InputError: The network or a crop cannot be used.
    """
    kept = Journal(journal)
    tasks = [ALL_LAYERS, *sweep.table.layers]
    found = {task: kept.find(_layer_key(key, task)) for task in tasks}
    results = {task: value for task, value in found.items() if value is not None}
    todo = [task for task in tasks if task not in results]
    progress("sensitivity", len(results), len(tasks))
    arguments = (sweep.files, sweep.table, list(sweep.crops))
    for task, outcome in isolated_map(open_sweep, arguments, todo, workers=workers):
        results[task] = _measurement(outcome)
        if not isinstance(outcome, Died) or outcome.how in _CRASHES:
            kept.record(_layer_key(key, task), results[task])
        progress("sensitivity", len(results), len(tasks))
    return {task: results[task] for task in tasks}


def open_sweep(files: NcnnFiles, table: CalibrationTable, crops: Crops) -> Callable[[str], float]:
    """Load the network in a child process and return what measures one layer there."""
    network = read_network(files)
    reference = run_crops(network, files, crops)
    if not all(np.isfinite(output).all() for outputs in reference for output in outputs):
        message = "the fp32 outputs are not finite on a calibration crop; nothing can be compared"
        raise InputError(message, path=files.param)

    def measure(layer: str) -> float:
        chosen = table if layer == ALL_LAYERS else table.only([layer])
        quantized = quantize(network, chosen, store_fp16=False)
        return sqnr_db(reference, run_crops(quantized, files, crops))

    return measure


def forward_seconds(network: Network, sweep: LayerSweep) -> float:
    """Time one fp32 forward, to say what a sweep will cost."""
    files, crop = sweep.files, sweep.crops[0]
    run_crops(network, files, [crop])
    start = time.perf_counter()
    run_crops(network, files, [crop])
    return time.perf_counter() - start


def run_crops(network: Network, files: NcnnFiles, crops: Crops) -> list[Outputs]:
    """Run crops through a network in memory and keep the outputs."""
    with NcnnNet(
        network.param_text(), network.bin_bytes(), input=files.input, outputs=files.outputs
    ) as net:
        return [net.run(crop) for crop in crops]


def _measurement(outcome: float | Died) -> Measurement:
    if isinstance(outcome, Died):
        return {_SQNR: None, _DIED: outcome.how}
    if outcome == -math.inf:
        return {_SQNR: None, _DIED: "outputs that are not finite"}
    return {_SQNR: None if outcome == math.inf else round(outcome, 4), _DIED: None}


def _layer_key(key: str, layer: str) -> str:
    return content_key([key, layer])
