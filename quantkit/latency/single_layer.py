"""A network of one layer with weights of no meaning: what it computes does not change its time."""

import time
from collections.abc import Callable
from typing import Final, Literal, get_args

import ncnn
import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_scales import scale_count
from quantkit.errors import InputError
from quantkit.latency.layer_shape import LayerShape, takes_winograd
from quantkit.model.feature_mask import without_winograd
from quantkit.model.layer_records import record_specs
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization.int8 import quantize

Form = Literal["fp32", "int8", "fp32-direct", "int8-direct"]
"""How a layer is run; `direct` is with Winograd switched off."""
FORMS: Final[tuple[Form, ...]] = get_args(Form)

_SCALE = 30.0


def forms_of(shape: LayerShape) -> tuple[Form, ...]:
    """List the forms in which a layer can be run."""
    return FORMS if takes_winograd(shape.layer) else ("fp32", "int8")


def layer_timer(shape: LayerShape, form: Form) -> Callable[[], float]:
    """Load a layer by itself.

    Args:
        shape: The layer.
        form: How it is run.

    Returns:
        A function that runs it once and returns the seconds, from a blob that lies in memory as
        the layer before would have left it.

    Raises:
        InputError: ncnn cannot load or run it.
    """
    network = _network(shape, form)
    source = _packed(shape)
    net = NcnnNet.of(network, shape.layer.bottoms[0], shape.layer.tops)

    def run() -> float:
        return _seconds(net, source)

    if run() < 0:
        message = f"ncnn cannot run {shape} in {form}"
        raise InputError(message)
    return run


def _network(shape: LayerShape, form: Form) -> Network:
    layer = shape.layer
    if form.endswith("direct"):
        layer = without_winograd(layer)
    rng = np.random.default_rng(0)
    records = {
        spec.name: Record(
            rng.standard_normal(spec.count).astype(np.float32), FP32_TAG if spec.tagged else None
        )
        for spec in record_specs(layer)
    }
    start = Layer("Input", "input", (), layer.bottoms)
    network = Network(Param((start, layer)), {layer.name: LayerWeights(records)})
    if not form.startswith("int8"):
        return network
    scales = (_SCALE,) * scale_count(layer)
    return quantize(network, CalibrationTable({layer.name: scales}, {layer.name: _SCALE}))


def _packed(shape: LayerShape) -> ncnn.Mat:
    """Make an input in the layout that ncnn gives blobs on this machine, by a layer before it."""
    layers = (
        Layer("Input", "input", (), ("given",)),
        Layer("ReLU", "packing", ("given",), shape.layer.bottoms),
    )
    net = NcnnNet.of(Network(Param(layers), {}), "given", shape.layer.bottoms)
    values = np.random.default_rng(1).standard_normal(shape.input).astype(np.float32)
    extractor = net.native.create_extractor()
    extractor.input("given", ncnn.Mat(values).clone())
    status, packed = extractor.extract(shape.layer.bottoms[0], 1)
    if status != 0:
        message = f"ncnn cannot make the input of {shape} (status {status})"
        raise InputError(message)
    return packed


def _seconds(net: NcnnNet, source: ncnn.Mat) -> float:
    extractor = net.native.create_extractor()
    extractor.input(net.input, source)
    start = time.perf_counter()
    # Type 1 leaves the output as it is; the plain form would copy it into another layout.
    status, made = extractor.extract(net.outputs[0], 1)
    took = time.perf_counter() - start
    return -1.0 if status != 0 or made.empty() else took
