"""The child of `loaded.loaded_layers`: `python -m quantkit.quantization.loaded_child REQUEST`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.eligibility import INT8_TERM, INT8_TYPES
from quantkit.model.network import Network, read_network
from quantkit.model.param import Layer
from quantkit.model.source import NcnnFiles
from quantkit.quantization.int8_probe import runs_in_int8
from quantkit.storage import json_text


def facts(files: NcnnFiles, shape: tuple[int, int, int] | None) -> dict[str, dict[str, Any]]:
    """Load a written network, run it, and try each layer that could be int8.

    Args:
        files: The network.
        shape: Of its input; without it the network is not run.

    Returns:
        By layer: `term`, the parameter that says how it is quantized, and `problem`, what keeps it
        from being int8, or None.
    """
    network = read_network(files)
    with NcnnNet.from_files(files) as net:
        if shape is not None:
            net.run(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return {
        layer.name: {
            "term": layer.int_param(INT8_TERM, 0),
            "problem": _problem(network, layer),
        }
        for layer in network.param.layers
        if layer.type in INT8_TYPES and layer.name in network.weights
    }


def _problem(network: Network, layer: Layer) -> str | None:
    weights = network.weights[layer.name]
    if not layer.int_param(INT8_TERM, 0):
        return f"is not int8 in the .param (no {INT8_TERM}=)"
    if weights["weight"].dtype != np.int8:
        return "has weights in the .bin that are not int8"
    scale = float(weights["bottom_scale"][0])
    if not runs_in_int8(layer, weights, scale):
        return "is int8 in the files, but ncnn computes it in floating point"
    return None


def main(request: dict[str, Any]) -> None:
    """Do what was asked and write the answer."""
    files = NcnnFiles(
        Path(request["param"]), Path(request["bin"]), request["input"], tuple(request["outputs"])
    )
    shape = request["shape"] and tuple(request["shape"])
    try:
        answer: dict[str, Any] = {"layers": facts(files, shape)}
    except InputError as error:
        answer = {"error": str(error)}
    Path(request["result"]).write_text(json_text(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
