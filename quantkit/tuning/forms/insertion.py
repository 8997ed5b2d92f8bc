"""The network that gives a layer its input in codes: a `Scale` in front, the weights to match.

With W / scale for the weights W and b - sum(W / scale * zero) for the bias, the layer gives the
same as before; its activation scale is 1, and its border is padded with the code of zero, which is
the same number to fp32 and to int8. So the network stays an ordinary fp32 network, and ncnn2int8
makes the int8 one of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.table_lines import printed
from quantkit.calibration.weight_scales import weight_scales
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization.prepared_layers import IN_CODES
from quantkit.tuning.forms.input_form import InputForm, is_padded


@dataclass(frozen=True)
class Formed:
    """A network whose layers read codes, and its table.

    Attributes:
        network: It computes the same in fp32.
        table: The scales of its layers.
    """

    network: Network
    table: CalibrationTable


def with_forms(network: Network, table: CalibrationTable, forms: Mapping[str, InputForm]) -> Formed:
    """Give layers their forms.

    Args:
        network: The fp32 network.
        table: Its table; layers without a form keep their scales.
        forms: By name of a layer of the table, a Convolution or a depthwise one.
    """
    layers: list[Layer] = []
    weights = dict(network.weights)
    for layer in network.param.layers:
        if layer.name not in forms:
            layers.append(layer)
            continue
        form = forms[layer.name]
        codes = _scale_layer(layer, form)
        layers += [codes, _reading(layer, codes, form)]
        weights[codes.name] = LayerWeights(
            {
                "scale": Record(form.scale.astype(np.float32)),
                "bias": Record(form.zero.astype(np.float32)),
            }
        )
        weights[layer.name] = _matched(layer, network.weights[layer.name], form)
    formed = Network(replace(network.param, layers=tuple(layers)), weights)
    return Formed(formed, _table(formed, table, forms))


def _scale_layer(layer: Layer, form: InputForm) -> Layer:
    name = f"{layer.name}{IN_CODES}"
    return Layer("Scale", name, layer.bottoms[:1], (name,), {0: str(len(form.scale)), 1: "1"})


def _reading(layer: Layer, codes: Layer, form: InputForm) -> Layer:
    border = str(float(form.zero[0])) if is_padded(layer) and form.zero[0] else None
    return replace(layer, bottoms=codes.tops).with_params({5: "1", 18: border})


def _matched(layer: Layer, before: LayerWeights, form: InputForm) -> LayerWeights:
    outputs = layer.int_param(0, 0)
    depthwise = layer.type == "ConvolutionDepthWise"
    rows = np.asarray(before["weight"], np.float64).reshape(
        outputs, 1 if depthwise else len(form.scale), -1
    )
    by_input = (slice(None), None, None) if depthwise else (None, slice(None), None)
    divided = rows / form.scale[by_input]
    bias = np.asarray(before["bias"], np.float64) if "bias" in before else np.zeros(outputs)
    moved = bias - (divided * form.zero[by_input]).sum((1, 2))
    return LayerWeights(
        {
            "weight": Record(divided.astype(np.float32).reshape(-1), FP32_TAG),
            "bias": Record(moved.astype(np.float32)),
        }
    )


def _table(
    network: Network, table: CalibrationTable, forms: Mapping[str, InputForm]
) -> CalibrationTable:
    changed = {}
    for name in forms:
        layer, weight = network.param.layer(name), network.weights[name]["weight"]
        changed[name] = tuple(map(printed, weight_scales(layer, weight).scales))
    return replace(
        table,
        weight_scales={**table.weight_scales, **changed},
        activation_scales={**table.activation_scales, **dict.fromkeys(forms, 1.0)},
        source=None,
    )
