"""Which blobs the layers read: each once, behind Splits, in the order of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from quantkit.errors import InputError
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs


@dataclass(frozen=True)
class LayerInputs:
    """The input blobs of some layers.

    Attributes:
        blobs: Each blob once, in the order of the network.
        sources: Layer name to its blob, in the order in which the layers were given.
        readers: Blob to the first layer that reads it.
        nonnegative: The blobs that no input of the network makes negative.
    """

    blobs: tuple[str, ...]
    sources: Mapping[str, str]
    readers: Mapping[str, str]
    nonnegative: frozenset[str]

    @classmethod
    def of(cls, network: Network, layers: Sequence[str]) -> Self:
        """Find the blobs that layers read."""
        graph = Graph(network.param)
        sources = {
            name: graph.resolve_split(network.param.layer(name).bottoms[0]) for name in layers
        }
        readers = {blob: name for name, blob in reversed(sources.items())}
        return cls(
            blobs=tuple(blob for blob in graph.blobs if blob in readers),
            sources=sources,
            readers=readers,
            nonnegative=frozenset(nonnegative_blobs(network.param)),
        )

    def not_finite(self, blob: str, crop: str) -> InputError:
        """Say that a blob holds NaN or infinity for a crop."""
        message = (
            f"blob '{blob}', the input of layer '{self.readers[blob]}', holds NaN or infinity"
            f" for {crop}; check the network's weights and the crop"
        )
        return InputError(message)


def no_crops() -> InputError:
    """Say that the stream of crops was empty."""
    return InputError("there are no calibration crops; nothing can be calibrated")
