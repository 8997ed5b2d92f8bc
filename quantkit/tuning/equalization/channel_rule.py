"""What it means to have a rule for how the channels of a layer's blobs hang together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.model.param import Layer
from quantkit.model.shape_rule import Shape
from quantkit.model.weights import LayerWeights
from quantkit.tuning.equalization.classes import ChannelClasses, Labels


@dataclass(frozen=True)
class Site:
    """One layer at its place in the network.

    Attributes:
        layer: The layer.
        weights: Its weights, empty where it has none.
        bottoms: Labels of the blobs it reads.
        shapes: Shapes of the blobs it makes.
        classes: The classes, to join and freeze in.
        seen: Largest absolute value of each channel of its first top on the calibration crops,
            None where nothing may depend on them.
    """

    layer: Layer
    weights: LayerWeights
    bottoms: Sequence[Labels]
    shapes: Sequence[Shape]
    classes: ChannelClasses
    seen: NDArray[np.float64] | None = None


Rule = Callable[[Site], Sequence[Labels]]
"""From a layer to the labels of its tops; it joins and freezes what the layer ties together."""
Rules = Mapping[str, Rule]


def frozen(site: Site, reason: str) -> Sequence[Labels]:
    """Freeze everything that a layer reads and makes."""
    for labels in site.bottoms:
        site.classes.freeze(labels, reason)
    return [site.classes.frozen(shape, reason) for shape in site.shapes]


def channels(site: Site, bottom: int = 0) -> Labels:
    """Join the elements of each channel of a bottom; one label a channel, shape (channels,)."""
    labels = site.bottoms[bottom]
    return site.classes.join_axes(labels, tuple(range(1, labels.ndim))).reshape(-1)


def spread(labels: Labels, shape: Shape) -> Labels:
    """Give every element of a blob the label of its channel.

    Example:
        >>> spread(np.array([3, 4]), (2, 1, 2)).tolist()
        [[[3, 3]], [[4, 4]]]
    """
    return np.broadcast_to(labels.reshape(-1, *(1,) * (len(shape) - 1)), shape)
