"""Whether a table fits a network: the names, the counts and the scales."""

import math

from quantkit.calibration.table import WEIGHT_SUFFIX, CalibrationTable
from quantkit.calibration.weight_scales import scale_count
from quantkit.errors import InputError
from quantkit.model.eligibility import INT8_TERM, int8_layers
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.clipped_weights import clipped_weights


def check_table(network: Network, table: CalibrationTable) -> tuple[Layer, ...]:
    """Check that a table fits a network.

    A layer with a weight line alone stays in fp32, as with ncnn2int8.

    Returns:
        The layers that the table makes int8, in the order of the .param.

    Raises:
        InputError: A layer is unknown or cannot be int8, is int8 already, or has a wrong number
            of scales, one that is not finite or one that cuts weights as only those of another
            network do; the layer is named.
    """
    eligible = {layer.name: layer for layer in int8_layers(network)}
    for name in (*table.weight_scales, *table.activation_scales):
        if name not in eligible:
            raise _unknown(network, table, name)
    for name in table.weight_scales:
        _check_weight_scales(table, eligible[name])
        cut = clipped_weights(network, eligible[name], table.weight_scales[name])
        if cut is not None:
            message = f"layer '{name}': {cut}; put its .param and .bin beside it, or calibrate"
            raise table.error(message, name + WEIGHT_SUFFIX)
    for name in table.activation_scales:
        _check_activation_scale(table, eligible[name])
    return tuple(layer for name, layer in eligible.items() if name in table.activation_scales)


def _unknown(network: Network, table: CalibrationTable, name: str) -> InputError:
    layer = network.param.by_name.get(name)
    if layer is None:
        message = f"layer '{name}' is not in the network; is the table of another one?"
    else:
        message = f"layer '{name}' is a {layer.type} without weights to make int8; remove its lines"
    return table.error(message, name if name in table.activation_scales else name + WEIGHT_SUFFIX)


def _check_weight_scales(table: CalibrationTable, layer: Layer) -> None:
    scales, wanted = table.weight_scales[layer.name], scale_count(layer)
    if len(scales) != wanted:
        message = f"layer '{layer.name}' needs {wanted} weight scales, got {len(scales)}"
        raise table.error(message, layer.name + WEIGHT_SUFFIX)
    for index, scale in enumerate(scales):
        if not math.isfinite(scale):
            message = f"weight scale {index} of layer '{layer.name}' is {scale}; put a number there"
            raise table.error(message, layer.name + WEIGHT_SUFFIX)


def _check_activation_scale(table: CalibrationTable, layer: Layer) -> None:
    message = None
    if layer.int_param(INT8_TERM, 0):
        message = f"layer '{layer.name}' is int8 already; give the network in fp32"
    elif layer.name not in table.weight_scales:
        message = f"layer '{layer.name}' has no weight scales; remove its line to leave it in fp32"
    elif not math.isfinite(table.activation_scales[layer.name]):
        message = f"the activation scale of layer '{layer.name}' is not finite; remove both lines"
    if message:
        raise table.error(message, layer.name)
