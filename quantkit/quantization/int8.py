"""The int8 network of a calibration table, as ncnn2int8 writes it.

Source: ncnn tools/quantize/ncnn2int8.cpp and tools/modelwriter.h. Unlike ncnn2int8 this leaves
Gemm, SDPA and the recurrent layers alone, whose activations ncnn quantizes while it runs.
"""

import numpy as np

from quantkit.calibration.table import CalibrationTable
from quantkit.model.eligibility import INT8_TERM
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.weights import (
    FP16_TAG,
    INT8_TAG,
    FloatArray,
    LayerWeights,
    Record,
)
from quantkit.quantization.requantize import RequantizeRule, agreeing_consumers
from quantkit.quantization.rounding import to_fp16, to_int8
from quantkit.quantization.table_check import check_table

_TERMS = {"Convolution": 2, "ConvolutionDepthWise": 1, "InnerProduct": 2}
_REQUANTIZED = 100
_TINY = np.float32(1e-30)


def quantize(
    network: Network,
    table: CalibrationTable,
    *,
    store_fp16: bool = True,
    requantize: RequantizeRule = agreeing_consumers,
) -> Network:
    """Make the layers of a table int8.

    Args:
        network: The fp32 network. Its layers that stay as they are share their weights with the
            result.
        table: The scales; layers without an activation scale stay in floating point.
        store_fp16: Store the weights of those layers as fp16, as ncnn2int8 does. Without it they
            stay as they are, and the result differs by the int8 layers alone.
        requantize: Which convolutions hand int8 on to the next one; ncnn2int8's own rule is
            `first_consumer`, which goes wrong where siblings behind a Split differ in scale.

    Returns:
        The int8 network.

    Raises:
        InputError: The table does not fit the network.
    """
    chosen = check_table(network, table)
    bottom_scales = {layer.name: table.activation_scales[layer.name] for layer in chosen}
    top_scales = requantize(Graph(network.param), bottom_scales)
    layers: dict[str, Layer] = {}
    weights: dict[str, LayerWeights] = {}
    for layer in chosen:
        term = _TERMS[layer.type] + (_REQUANTIZED if layer.name in top_scales else 0)
        layers[layer.name] = layer.with_params({INT8_TERM: str(term)})
        scales = (bottom_scales[layer.name], top_scales.get(layer.name))
        weights[layer.name] = _int8_weights(network, layer, table, scales)
    if store_fp16:
        weights |= _stored_as_fp16(network, weights)
    return network.replaced(layers, weights)


def _int8_weights(
    network: Network,
    layer: Layer,
    table: CalibrationTable,
    activation_scales: tuple[float, float | None],
) -> LayerWeights:
    source = network.weights[layer.name].records
    weight_scales = np.array(table.weight_scales[layer.name], np.float32)
    weight = np.asarray(source["weight"].values(), np.float32)
    bottom, top = activation_scales
    records = {"weight": Record(to_int8(weight, weight_scales), INT8_TAG)}
    if "bias" in source:
        records["bias"] = _flushed(source["bias"])
    records["weight_scales"] = Record(weight_scales)
    records["bottom_scale"] = Record(np.array([bottom], np.float32))
    if top is not None:
        records["top_scale"] = Record(np.array([top], np.float32))
    return LayerWeights(records)


def _stored_as_fp16(network: Network, done: dict[str, LayerWeights]) -> dict[str, LayerWeights]:
    converted: dict[str, LayerWeights] = {}
    for layer in network.param.layers:
        weights = network.weights.get(layer.name)
        if weights is not None and layer.name not in done:
            records = {
                name: _fp16_record(layer, name, record) for name, record in weights.records.items()
            }
            converted[layer.name] = LayerWeights(records)
    return converted


def _fp16_record(layer: Layer, name: str, record: Record) -> Record:
    if record.tag is None:
        return _flushed(record)
    if record.tag == FP16_TAG or record.tag == INT8_TAG:
        return record
    stored = to_fp16(_floats(record))
    if np.isinf(stored).any():
        message = f"'{name}' has a value beyond fp16 (65504); keep its storage (store_fp16=False)"
        raise layer.error(message)
    return Record(stored, FP16_TAG)


def _flushed(record: Record) -> Record:
    """Write denormal-like values as zeros, as ncnn's writer does with bare fp32 arrays."""
    values = _floats(record)
    tiny = (np.abs(values) < _TINY) & (values != 0)
    return Record(np.where(tiny, np.float32(0), values), record.tag) if tiny.any() else record


def _floats(record: Record) -> FloatArray:
    return record.stored.astype(np.float32, copy=False)
