"""A hazard taken out of a network: Gemms of a 1-D blob become inner products.

On x86 ncnn packs several elements of the 1-D blob into one, and Gemm takes those for so many rows:
of a vector of 64 it makes (8, N) or (16, N) instead of (1, N), with values that are wrong, in fp32
too (src/layer/x86/gemm_x86.cpp). As an InnerProduct the same product is right, and can be int8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.graph import Graph
from quantkit.model.layer_records import record_specs
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.vector_convolutions import Rewritten
from quantkit.model.weights import FP32_TAG, LayerWeights, Record

_GEMM_INT8_TERM: Final = 18
_A_IS_CONSTANT, _B_IS_CONSTANT, _C_IS_CONSTANT = 4, 5, 6


def without_vector_gemms(network: Network, shapes: Mapping[str, Sequence[int]]) -> Rewritten:
    """Make an InnerProduct, and the Reshape to one row, of each Gemm of a vector by constants.

    Args:
        network: The fp32 network. It shares its other weights with the result.
        shapes: Shape by blob name, without a batch axis, as from `blob_shapes`.

    Returns:
        The network; a Gemm whose matrix or addend is computed stays as it is.
    """
    graph = Graph(network.param)
    products = {
        layer.name: product
        for layer in network.param.layers
        if reads_vector(layer, shapes) and (product := _product(network, graph, layer))
    }
    if not products:
        return Rewritten(network, ())
    layers: list[Layer] = []
    for layer in network.param.layers:
        layers += products[layer.name].layers if layer.name in products else [layer]
    read = {blob for layer in layers for blob in layer.bottoms}
    unread = {
        layer.name for layer in layers if layer.type == "MemoryData" and layer.tops[0] not in read
    } - {layer.name for layer in network.param.layers if not graph.consumers(layer.tops[0])}
    kept = tuple(layer for layer in layers if layer.name not in unread)
    weights = {name: records for name, records in network.weights.items() if name not in unread}
    weights |= {name: product.weights for name, product in products.items()}
    return Rewritten(Network(replace(network.param, layers=kept), weights), tuple(products))


def reads_vector(layer: Layer, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Tell whether a layer is a Gemm whose left operand is a 1-D blob."""
    if layer.type != "Gemm" or layer.int_param(_A_IS_CONSTANT, 0) or not layer.bottoms:
        return False
    return len(shapes[layer.bottoms[0]]) == 1


@dataclass(frozen=True)
class _Product:
    layers: tuple[Layer, Layer]
    weights: LayerWeights


def _product(network: Network, graph: Graph, layer: Layer) -> _Product | None:
    """Rewrite alpha (a B + beta C), or give None where that is another thing than a product."""
    if any(layer.int_param(number, 0) for number in (2, 11, _GEMM_INT8_TERM)):
        return None
    operands = iter(layer.bottoms[1:])
    if layer.int_param(_B_IS_CONSTANT, 0):
        matrix = network.weights[layer.name]["b"]
        sizes = (layer.int_param(9, 0), layer.int_param(8, 0))
        if layer.int_param(3, 0):
            sizes = sizes[::-1]
    elif (stored := _memory(network, graph, next(operands, None))) is not None:
        matrix, sizes = stored
    else:
        return None
    b = matrix.reshape(sizes)
    b = b if layer.int_param(3, 0) else b.T
    bias: NDArray[np.float32] | None = None
    if layer.int_param(_C_IS_CONSTANT, 0):
        bias = network.weights[layer.name].get("c")
    elif (addend := next(operands, None)) is not None:
        if (added := _memory(network, graph, addend)) is None:
            return None
        bias = added[0]
    if next(operands, None) is not None or (bias is not None and bias.size not in (1, len(b))):
        return None
    alpha, beta = layer.float_param(0, 1.0), layer.float_param(1, 1.0)
    return _layers(layer, alpha * b, None if bias is None else alpha * beta * bias)


def _memory(
    network: Network, graph: Graph, blob: str | None
) -> tuple[NDArray[np.float32], tuple[int, int]] | None:
    """Read a matrix, or a vector as one row, that a MemoryData holds."""
    layer = None if blob is None else graph.producer(graph.resolve_split(blob))
    if layer is None or layer.type != "MemoryData" or layer.name not in network.weights:
        return None
    width, height = layer.int_param(0, 0), layer.int_param(1, 0) or 1
    data = network.weights[layer.name]["data"]
    return (data, (height, width)) if data.size == height * width else None


def _layers(layer: Layer, b: NDArray[np.float32], bias: NDArray[np.float32] | None) -> _Product:
    outputs, (top,) = len(b), layer.tops
    vector = f"{top}_vector"
    params = {0: str(outputs), **({} if bias is None else {1: "1"}), 2: str(b.size)}
    product = replace(layer, type="InnerProduct", tops=(vector,), params=params)
    product = replace(product, bottoms=layer.bottoms[:1])
    transposed = layer.int_param(14, 0)
    row = {0: "1", 1: str(outputs)} if transposed else {0: str(outputs), 1: "1"}
    reshape = Layer("Reshape", f"{layer.name}_row", (vector,), (top,), row, layer.columns)
    values = {"weight": b} if bias is None else {"weight": b, "bias": np.resize(bias, outputs)}
    records = {
        spec.name: Record(
            np.ascontiguousarray(values[spec.name], np.float32).reshape(-1),
            FP32_TAG if spec.tagged else None,
        )
        for spec in record_specs(product)
    }
    return _Product((product, reshape), LayerWeights(records))
