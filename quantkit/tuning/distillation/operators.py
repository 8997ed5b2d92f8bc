"""Which layer types can be computed in torch, and how."""

from collections.abc import Mapping
from typing import Final

from quantkit.model.param import Param
from quantkit.tuning.distillation.combining import COMBINING
from quantkit.tuning.distillation.convolutions import CONVOLUTIONS
from quantkit.tuning.distillation.elementwise import ELEMENTWISE
from quantkit.tuning.distillation.layer_call import Operator
from quantkit.tuning.distillation.rearranging import REARRANGING
from quantkit.tuning.distillation.resampling import RESAMPLING

OPERATORS: Final[Mapping[str, Operator]] = {
    **COMBINING,
    **CONVOLUTIONS,
    **ELEMENTWISE,
    **REARRANGING,
    **RESAMPLING,
}


def check_operators(param: Param) -> None:
    """Make sure that every layer can be computed.

    Raises:
        InputError: A layer is of another type, or its weights are computed by other layers.
    """
    for layer in param.layers:
        if layer.type not in OPERATORS and layer.type != "Input":
            message = "layers of this type have no gradient here; leave the learning out"
            raise layer.error(message)
        if layer.type in CONVOLUTIONS and len(layer.bottoms) != 1:
            message = "its weights are computed by other layers; leave the learning out"
            raise layer.error(message)
