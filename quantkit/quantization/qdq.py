"""The int8 network of a calibration table as ONNX with QuantizeLinear and DequantizeLinear.

The same scales as in the ncnn network, for other runtimes: int8 weights with a scale for each
output channel, activations with one scale a blob. Biases stay fp32, for TensorRT refuses others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.export.onnx_file import read_onnx
from quantkit.model.network import Network
from quantkit.quantization.carried import Carrying
from quantkit.quantization.onnx_batch_norms import fold_batch_norms
from quantkit.quantization.onnx_layers import match_layers
from quantkit.quantization.onnx_writing import GraphWriting
from quantkit.quantization.opset import with_channel_scales
from quantkit.quantization.rounding import to_int8
from quantkit.quantization.table_check import check_table

_IR_VERSION: Final = 7
"""The first version of the file format that goes with the operators' version 13."""


@dataclass(frozen=True)
class QdqNetwork:
    """An int8 network in ONNX form.

    Attributes:
        model: An `onnx.ModelProto`.
        layers: Names of the ncnn layers that are int8 in it.
        left_out: Layer of the table to the reason why it stays fp32.
    """

    model: Any
    layers: tuple[str, ...]
    left_out: Mapping[str, str]


def to_qdq(
    path: Path, network: Network, table: CalibrationTable, prepared: Network | None = None
) -> QdqNetwork:
    """Put the scales of a table into an ONNX network.

    Args:
        path: The fp32 network in ONNX form.
        network: The ncnn network that was made from it.
        table: The scales.
        prepared: The network that the table belongs to, where that is `network` with other weights
            and biases (equalized, rounded, corrected). All that differs is carried over.

    Raises:
        InputError: The table does not fit its network, the file cannot be read, none of the
            table's layers is in it, or a layer that differs in `prepared` cannot be carried over.
    """
    prepared = network if prepared is None else prepared
    layers = check_table(prepared, table)
    model = with_channel_scales(read_onnx(path), path)
    fold_batch_norms(model.graph, network)
    matched = match_layers(model.graph, network)
    int8 = tuple(layer.name for layer in layers if layer.name in matched.nodes)
    if not int8:
        message = "holds no layer of the calibration table; is the table of another network?"
        raise InputError(message, path=path)
    writing = GraphWriting(model.graph)
    if prepared is not network:
        Carrying(model.graph, network, prepared, matched).write(writing, int8)
    for name in int8:
        node = matched.nodes[name]
        writing.quantize_input(node.index, name, table.activation_scales[name])
        scales = table.weight_array(name)
        rows = to_int8(prepared.weights[name]["weight"], scales)
        writing.quantize_weight(node, name, rows, scales)
    writing.finish()
    model.ir_version = max(model.ir_version, _IR_VERSION)
    names = {layer.name for layer in layers}
    left_out = {name: why for name, why in matched.left_out.items() if name in names}
    return QdqNetwork(model, int8, left_out)
