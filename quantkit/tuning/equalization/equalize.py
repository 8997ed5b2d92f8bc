"""Whole-graph equalization: the channels of all blobs made alike, the outputs left as they are."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from quantkit.model.network import Network
from quantkit.model.shape_rule import Shape
from quantkit.tuning.equalization.channel_graph import ChannelGraph, channel_graph
from quantkit.tuning.equalization.factors import STEPS, least_noise, powers_of_two
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.equalization.noise import Floats, layer_noises
from quantkit.tuning.equalization.ranges import ChannelRanges, int8_blobs

Clips = Literal["frozen", "calibrated"]
HEADROOM: Final = 1.05


@dataclass(frozen=True)
class BlobBalance:
    """How unlike the channels of a blob are.

    Attributes:
        blob: Its name.
        free: How many of its channels may be scaled.
        channels: How many it has.
        before: Largest range divided by the geometric mean of all, of the network as it was.
        after: The same of the equalized network.
    """

    blob: str
    free: int
    channels: int
    before: float
    after: float


@dataclass(frozen=True)
class EqualizationReport:
    """What could be scaled and what it did.

    Attributes:
        blobs: Those that int8 layers read, in execution order.
        frozen: Number of channels of these blobs that must stay as they are, by reason.
    """

    blobs: tuple[BlobBalance, ...]
    frozen: Mapping[str, int]

    @property
    def channels(self) -> int:
        """Number of channels that int8 layers read."""
        return sum(one.channels for one in self.blobs)

    @property
    def free(self) -> int:
        """How many of them may be scaled."""
        return sum(one.free for one in self.blobs)

    def text(self) -> str:
        """Say it in a few lines for people."""
        worst = max(self.blobs, key=lambda one: one.before, default=None)
        lines = [f"{self.free} of {self.channels} channels that int8 layers read are free"]
        lines += [f"  {count} frozen: {reason}" for reason, count in self.frozen.items()]
        if worst:
            change = f"{worst.before:.1f} times the mean channel, {worst.after:.1f} after"
            lines.append(f"  most uneven: blob '{worst.blob}', its largest channel was {change}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Equalized:
    """An equalized network.

    Attributes:
        network: It computes the same outputs from the same inputs.
        factors: By blob that int8 layers read: what each of its channels is multiplied with.
        report: What could be scaled.
    """

    network: Network
    factors: Mapping[str, Floats]
    report: EqualizationReport


def equalize(
    network: Network,
    shapes: Mapping[str, Shape],
    outputs: Sequence[str],
    ranges: Mapping[str, ChannelRanges],
    *,
    clips: Clips = "frozen",
    headroom: float = HEADROOM,
    exact: bool = False,
    steps: int = STEPS,
    kept_fp32: Container[str] = (),
) -> Equalized:
    """Scale channels so that int8 adds less noise, and fold the factors into the weights.

    Channels that Add, Concat, Slice, shuffles and so on tie together get one factor; see Nagel et
    al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (1906.04721), for
    pairs of layers. The factors weigh the noise of activations against that of weights.

    Args:
        network: The fp32 network.
        shapes: Shape by blob name, as from `blob_shapes`.
        outputs: Blobs that must stay as they are.
        ranges: As from `channel_ranges`.
        clips: Whether channels behind a clip such as ReLU6 are frozen, or are scaled as far as the
            calibration crops allow. The latter changes outputs on other data, where a channel
            exceeds what was seen of it.
        headroom: How much larger than on those crops such a channel may become without being cut.
        exact: Round the factors to powers of two: the fp32 outputs are then equal bit for bit.
        steps: Of the search for factors.
        kept_fp32: Layers that stay in fp32, and so add no noise.

    Returns:
        The network with its weights in fp32 where they were scaled.
    """
    seen = {blob: headroom * one.absmax for blob, one in ranges.items()}
    graph = channel_graph(network, shapes, outputs, seen if clips == "calibrated" else None)
    read = {blob: ranges[blob] for blob in int8_blobs(network, kept_fp32) if blob in ranges}
    noises = layer_noises(network, graph, ranges, kept_fp32)
    factors = least_noise(graph, read, noises, steps=steps)
    if exact:
        factors = powers_of_two(factors, graph.most)
    by_blob = {blob: factors[graph.channels(blob)] for blob in read}
    return Equalized(folded(network, graph, factors), by_blob, _report(graph, read, by_blob))


def _report(
    graph: ChannelGraph, read: Mapping[str, ChannelRanges], factors: Mapping[str, Floats]
) -> EqualizationReport:
    reasons: Counter[str] = Counter()
    blobs = []
    for blob, one in read.items():
        frozen = [why for k in graph.channels(blob).tolist() if (why := graph.frozen[k])]
        reasons.update(frozen)
        count = len(one.typical)
        before, after = _unevenness(one.typical), _unevenness(one.typical * factors[blob])
        blobs.append(BlobBalance(blob, count - len(frozen), count, before, after))
    return EqualizationReport(tuple(blobs), dict(reasons.most_common()))


def _unevenness(ranges: Floats) -> float:
    alive = ranges[ranges > 0]
    return float(alive.max() / np.exp(np.log(alive).mean())) if len(alive) else 1.0
