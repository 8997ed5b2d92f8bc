"""The oracle: every layer by whole networks, written, loaded and run from end to end."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.model.network import Network, write_network
from quantkit.model.param import Layer
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import LayerWeights, Record
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.sensitivity.judge import Judge
from quantkit.sensitivity.signals import signal
from quantkit.sensitivity.sweep import Sweep
from quantkit.tuning.sqnr import Outputs


class PlainSweep:
    """Measures one layer after the other, in this process, one crop at a time."""

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        self.sweep = sweep
        self.folder = folder
        self.network = sweep.network()
        tops = {top for layer in sweep.table.layers for top in self.network.param.layer(layer).tops}
        reference, self.tops = self.run(self.network, sorted(tops))
        self.names = sorted(tops)
        self.judge = Judge(sweep, reference)

    def measure(self, name: str) -> dict[str, Any]:
        """Give the figures of one layer under the names that the sessions give them."""
        table, network = self.sweep.table, self.network
        tops = network.param.layer(name).tops
        clean = [tuple(one[self.names.index(top)] for top in tops) for one in self.tops]
        alone, own = self.run(self.int8(table.only([name])), tops)
        without, inherited = self.run(self.int8(table.without([name])), tops)
        weights, _ = self.run(rounded_weights(network, table, name), ())
        activations, _ = self.run(rounded_input(network, table, name), ())
        return {
            "alone": asdict(self.judge.effect(alone)),
            "without": asdict(self.judge.effect(without)),
            "weights": asdict(self.judge.effect(weights)),
            "activations": asdict(self.judge.effect(activations)),
            "own": _signal(clean, own),
            "inherited": _signal(clean, inherited),
        }

    def int8(self, table: CalibrationTable) -> Network:
        return quantize(self.network, table, store_fp16=False, requantize=never)

    def run(self, network: Network, blobs: Sequence[str]) -> tuple[list[Outputs], list[Outputs]]:
        """Run all crops through files on disk; the outputs, and the blobs asked for."""
        files = self.sweep.files
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            param, weights = Path(folder, "net.param"), Path(folder, "net.bin")
            write_network(network, param, weights)
            written = NcnnFiles(param, weights, files.input, files.outputs)
            with NcnnNet.from_files(written) as net:
                found = [net.run_blobs(crop, [*blobs, *files.outputs]) for crop in self.sweep.crops]
        return _pick(found, files.outputs), _pick(found, blobs)


def rounded_weights(network: Network, table: CalibrationTable, name: str) -> Network:
    """Write the weights that the integers stand for."""
    records = dict(network.weights[name].records)
    scales = np.array(table.weight_scales[name], np.float32)[:, None]
    rows = np.asarray(network.weights[name]["weight"], np.float32).reshape(len(scales), -1)
    steps = rows * scales
    integers = np.clip(np.trunc(steps + np.copysign(np.float32(0.5), steps)), -127, 127)
    records["weight"] = Record((integers / scales).astype(np.float32).reshape(-1), 0)
    return network.replaced({}, {name: LayerWeights(records)})


def rounded_input(network: Network, table: CalibrationTable, name: str) -> Network:
    """Put layers of ncnn before a layer that multiply, round, clip and divide."""
    layer = network.param.layer(name)
    (bottom,) = layer.bottoms
    scale = np.float32(table.activation_scales[name])
    new = (
        Layer("BinaryOp", "scaling", (bottom,), ("in_steps",), {0: "2", 1: "1", 2: f"{scale:.9e}"}),
        Layer("UnaryOp", "rounding", ("in_steps",), ("in_integers",), {0: "18"}),
        Layer("Clip", "clipping", ("in_integers",), ("in_int8",), {0: "-127", 1: "127"}),
        Layer(
            "BinaryOp",
            "restoring",
            ("in_int8",),
            ("in_floats",),
            {0: "3", 1: "1", 2: f"{scale:.9e}"},
        ),
        replace(layer, bottoms=("in_floats",)),
    )
    layers = [x for one in network.param.layers for x in (new if one is layer else (one,))]
    return Network(replace(network.param, layers=tuple(layers)), network.weights)


def _pick(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Outputs]:
    return [tuple(one[name] for name in names) for one in found]


def _signal(clean: list[Outputs], got: list[Outputs]) -> dict[str, Any] | None:
    found = signal(clean, got)
    return None if found is None else asdict(found)
