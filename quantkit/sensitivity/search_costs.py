"""What each layer costs in time in both precisions, and which order to give them up in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.latency.layer_shape import layer_shape
from quantkit.latency.profile import LatencyProfile
from quantkit.model.macs import macs, total_macs
from quantkit.model.network import Network
from quantkit.model.shape_rule import Shape

PAYS: Final = 0.9
"""Int8 pays where it is predicted to take less than this share of fp32's time."""


@dataclass(frozen=True)
class LayerCost:
    """One layer, as predicted from its shape.

    Attributes:
        name: The layer.
        ms_fp32: Milliseconds in fp32, in its faster form.
        ms_int8: Milliseconds in int8, in its faster form.
        plain_fp32: Milliseconds in fp32 with Winograd, where ncnn takes it; more than `ms_fp32`
            where the layer is faster without.
        plain_int8: Likewise in int8.
        macs_share: Its share of the network's multiply-accumulates.
    """

    name: str
    ms_fp32: float
    ms_int8: float
    plain_fp32: float
    plain_int8: float
    macs_share: float

    @property
    def saved(self) -> float:
        """Milliseconds that int8 saves."""
        return self.ms_fp32 - self.ms_int8

    def ms(self, *, int8: bool, masked: bool) -> float:
        """Tell the time in a precision, with or without Winograd switched off where that helps."""
        if int8:
            return self.ms_int8 if masked else self.plain_int8
        return self.ms_fp32 if masked else self.plain_fp32

    @property
    def pays(self) -> bool:
        """Whether int8 is clearly faster."""
        return self.ms_int8 < PAYS * self.ms_fp32

    def to_json(self) -> dict[str, Any]:
        """Make a JSON object of it."""
        return {
            "name": self.name,
            "ms_fp32": round(self.ms_fp32, 6),
            "ms_int8": round(self.ms_int8, 6),
            "macs_share": round(self.macs_share, 6),
            "pays": self.pays,
        }


def layer_costs(
    network: Network,
    names: Sequence[str],
    shapes: Mapping[str, Shape],
    profile: LatencyProfile,
) -> dict[str, LayerCost]:
    """Look the layers up.

    Args:
        network: The fp32 network.
        names: Its layers that may be int8.
        shapes: Shape by blob name.
        profile: Layer times.

    Raises:
        InputError: A layer is not in the network or has no times; it is named.
    """
    layers = {name: network.param.layer(name) for name in names}
    keys = {name: layer_shape(layer, shapes) for name, layer in layers.items()}
    lacking = [name for name in names if keys[name] not in profile.times]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = (
            f"the layer times have none for layer '{lacking[0]}' ({keys[lacking[0]]}){more}: "
            "measure them for this network and this input size"
        )
        raise InputError(message)
    total = total_macs(network.param.layers, shapes)
    found: dict[str, LayerCost] = {}
    for name, layer in layers.items():
        times = profile.times[keys[name]]
        found[name] = LayerCost(
            name=name,
            ms_fp32=times.best("fp32"),
            ms_int8=times.best("int8"),
            plain_fp32=times.forms["fp32"].median,
            plain_int8=times.forms["int8"].median,
            macs_share=macs(layer, shapes) / total,
        )
    return found


def in_order_of_cost(
    costs: Mapping[str, LayerCost], errors: Mapping[str, float], names: Sequence[str]
) -> tuple[str, ...]:
    """Order layers by the error that they cost for each millisecond that they save.

    Args:
        costs: By layer.
        errors: Of the outputs with this layer alone in int8, by layer.
        names: Layers that pay.

    Returns:
        The first is the first to be given up.
    """
    return tuple(sorted(names, key=lambda name: errors[name] / costs[name].saved, reverse=True))


def least(holds: Callable[[int], bool], most: int) -> int:
    """Find the least number from which on something holds, by bisection.

    Args:
        holds: Asked a few times, about the logarithm of `most`; true for `most` itself, which is
            never asked.
        most: The largest number.

    Example:
        >>> asked = []
        >>> least(lambda k: asked.append(k) or k >= 13, 100), len(asked)
        (13, 7)
        >>> least(lambda k: True, 100)
        0
    """
    if most == 0 or holds(0):
        return 0
    low, high = 0, most
    while high - low > 1:
        # Few have to be given up as a rule, so the first steps are small.
        middle = min((low + high) // 2, 2 * low + 2)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
