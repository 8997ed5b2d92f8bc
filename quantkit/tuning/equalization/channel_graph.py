"""The channels of a whole network: which must be scaled together, which not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.shape_rule import Shape
from quantkit.model.weights import LayerWeights
from quantkit.tuning.equalization.channel_rule import Rules, Site, frozen
from quantkit.tuning.equalization.classes import ChannelClasses, Labels
from quantkit.tuning.equalization.homogeneous_channels import HOMOGENEOUS_RULES
from quantkit.tuning.equalization.moved_channels import MOVED_RULES
from quantkit.tuning.equalization.weighted_channels import WEIGHTED_RULES

RULES: Final[Rules] = {**MOVED_RULES, **HOMOGENEOUS_RULES, **WEIGHTED_RULES}
"""Rule by layer type; a layer of any other type freezes what it reads and makes."""


@dataclass(frozen=True)
class ChannelGraph:
    """The class of every element of every blob.

    Attributes:
        labels: By blob, in the blob's shape: the number of the class, from 0.
        frozen: By class: why its factor must be 1, None where it is free.
        most: By class: how large its factor may be, infinity where there is no limit.
    """

    labels: Mapping[str, Labels]
    frozen: tuple[str | None, ...]
    most: NDArray[np.float64]

    def channels(self, blob: str) -> Labels:
        """Give the class of each channel (first axis), of one element of each."""
        labels = self.labels[blob]
        return labels.reshape(len(labels), -1)[:, 0]


def channel_graph(
    network: Network,
    shapes: Mapping[str, Shape],
    outputs: Sequence[str],
    seen: Mapping[str, NDArray[np.float64]] | None = None,
) -> ChannelGraph:
    """Find the classes of channels.

    Args:
        network: The network; its inputs are not to be scaled.
        shapes: Shape by blob name.
        outputs: Blobs that are not to be scaled. Those that no layer reads are not either.
        seen: Largest absolute value of each channel, by blob, on the calibration crops. Clipped
            channels of these blobs may be scaled within it; without it they are frozen.
    """
    classes = ChannelClasses()
    labels: dict[str, Labels] = {}
    for layer in network.param.layers:
        site = Site(
            layer,
            network.weights.get(layer.name, LayerWeights({})),
            [labels[blob] for blob in layer.bottoms],
            [tuple(shapes[blob]) for blob in layer.tops],
            classes,
            (seen or {}).get(layer.tops[0]) if layer.tops else None,
        )
        tops = _ruled(site)
        labels.update(zip(layer.tops, map(_compact, tops), strict=True))
    for blob in (*outputs, *Graph(network.param).outputs):
        classes.freeze(labels[blob], "network output")
    return _numbered(classes, labels)


def _ruled(site: Site) -> Sequence[Labels]:
    if site.layer.type == "Input":
        return frozen(site, "network input")
    if site.layer.type not in RULES:
        return frozen(site, site.layer.type)
    return RULES[site.layer.type](site)


def _compact(labels: Labels) -> Labels:
    """Make a view of one label a channel where that says the same."""
    first = labels[(slice(None), *(slice(1),) * (labels.ndim - 1))]
    same = bool((labels == first).all())
    return np.broadcast_to(first.copy(), labels.shape) if same else labels


def _numbered(classes: ChannelClasses, labels: Mapping[str, Labels]) -> ChannelGraph:
    every = np.arange(classes.count)
    roots, numbers = np.unique(classes.roots(every), return_inverse=True)
    return ChannelGraph(
        {blob: _renumbered(one, numbers) for blob, one in labels.items()},
        classes.reasons(roots),
        classes.most(roots),
    )


def _renumbered(labels: Labels, numbers: Labels) -> Labels:
    stored = labels[tuple(slice(None) if stride else slice(1) for stride in labels.strides)]
    return np.broadcast_to(numbers[stored], labels.shape)
