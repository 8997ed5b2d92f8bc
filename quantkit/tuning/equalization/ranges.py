"""How large the values of every channel are over the calibration crops."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.forward_pool import in_order
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.tuning.equalization.weighted_channels import FUSED_CLIP

Array = NDArray[np.float32]

_LEAST_RANGE: Final = 1e-3
"""Of the largest channel."""
_NOTHING: Final = 1e-30


@dataclass(frozen=True, eq=False)
class ChannelRanges:
    """What was seen of the channels of one blob.

    Attributes:
        absmax: Largest absolute value, shape (channels,).
        typical: Mean over the crops of the largest absolute value of each, shape (channels,).
        power: Mean square, shape (channels,).
        shape: Of the blob, without a batch axis.
    """

    absmax: NDArray[np.float64]
    typical: NDArray[np.float64]
    power: NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def divisible(self) -> NDArray[np.float64]:
        """The typical ranges; small channels, dead ones too, count as large as the least."""
        least = _LEAST_RANGE * max(float(self.typical.max()), _NOTHING)
        return np.maximum(self.typical, least)


def int8_blobs(network: Network, kept_fp32: Container[str] = ()) -> tuple[str, ...]:
    """Name the blobs that int8 layers read, before their Splits, in execution order."""
    graph = Graph(network.param)
    layers = (layer for layer in int8_layers(network) if layer.name not in kept_fp32)
    sources = (graph.resolve_split(layer.bottoms[0]) for layer in layers)
    return tuple(dict.fromkeys(sources))


def equalization_blobs(network: Network) -> tuple[str, ...]:
    """Name the blobs whose ranges `equalize` uses: what int8 layers read and make, and clips."""
    int8 = {layer.name for layer in int8_layers(network)}
    made = (
        layer.tops[0]
        for layer in network.param.layers
        if layer.name in int8 or layer.type == "Clip" or _clips(layer)
    )
    return tuple(dict.fromkeys((*int8_blobs(network), *made)))


def _clips(layer: Layer) -> bool:
    fused = "Convolution" in layer.type or "Deconvolution" in layer.type
    return fused and layer.int_param(9, 0) == FUSED_CLIP


def channel_ranges(
    network: Network,
    input: str,
    crops: Iterable[Array],
    blobs: Sequence[str] | None = None,
    threads: int = 2,
) -> Mapping[str, ChannelRanges]:
    """Measure the channels (first axis) of blobs, with one forward a crop.

    Args:
        network: The fp32 network.
        input: Its input blob.
        crops: Inputs of shape (channels, height, width).
        blobs: Names of blobs; those of `equalization_blobs` if not given.
        threads: How many crops are run at a time.

    Raises:
        InputError: There are no crops, or a value is NaN or infinite; the blob is named.
    """
    names = equalization_blobs(network) if blobs is None else tuple(blobs)
    total: dict[str, ChannelRanges] = {}
    count = 0
    with NcnnNet.of(network, input) as net:
        for seen in _each(net, crops, names, threads):
            count += 1
            total = {name: _added(total.get(name), one) for name, one in seen.items()}
    if not count:
        message = "there are no crops, so the ranges of the channels are unknown"
        raise InputError(message)
    return {name: _averaged(name, one, count) for name, one in total.items()}


def _each(
    net: NcnnNet, crops: Iterable[Array], names: Sequence[str], threads: int
) -> Iterator[dict[str, ChannelRanges]]:
    def one(crop: Array) -> dict[str, ChannelRanges]:
        values = net.run_blobs(crop, names)
        return {name: _seen(values.pop(name)) for name in names}

    return in_order(one, crops, threads)


def _seen(values: Array) -> ChannelRanges:
    rows = values.reshape(len(values), -1)
    absmax = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    power = np.einsum("ij,ij->i", rows, rows).astype(np.float64) / rows.shape[1]
    return ChannelRanges(absmax, absmax, power, values.shape)


def _added(total: ChannelRanges | None, one: ChannelRanges) -> ChannelRanges:
    if total is None:
        return one
    absmax = np.maximum(total.absmax, one.absmax)
    return ChannelRanges(absmax, total.typical + one.typical, total.power + one.power, one.shape)


def _averaged(name: str, total: ChannelRanges, count: int) -> ChannelRanges:
    if not np.isfinite(total.absmax).all():
        message = f"blob '{name}' has a NaN or infinite value on a calibration crop"
        raise InputError(message)
    return ChannelRanges(total.absmax, total.typical / count, total.power / count, total.shape)
