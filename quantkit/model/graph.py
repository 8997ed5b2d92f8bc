"""Who makes and who reads each blob of a network."""

from collections import defaultdict

from quantkit.errors import InputError
from quantkit.model.param import Layer, Param


class Graph:
    r"""The blobs of a network as edges between its layers.

    Args:
        param: The layers, in execution order.

    Example:
        >>> from quantkit.model.param import parse_param
        >>> text = "7767517\n2 3\nInput data 0 1 data\nSplit fork 1 2 data a b\n"
        >>> Graph(parse_param(text)).resolve_split("b")
        'data'
    """

    def __init__(self, param: Param) -> None:
        self.param = param
        self._producers = {blob: layer for layer in param.layers for blob in layer.tops}
        self._consumers: defaultdict[str, list[Layer]] = defaultdict(list)
        for layer in param.layers:
            for blob in layer.bottoms:
                self._consumers[blob].append(layer)

    @property
    def blobs(self) -> tuple[str, ...]:
        """All blobs, each after those it is computed from."""
        return tuple(self._producers)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The blobs that no layer reads."""
        return tuple(blob for blob in self._producers if blob not in self._consumers)

    def producer(self, blob: str) -> Layer:
        """Find the layer that makes a blob.

        Raises:
            InputError: No layer makes it.
        """
        if blob not in self._producers:
            message = f"there is no blob '{blob}'"
            raise InputError(message, path=self.param.path)
        return self._producers[blob]

    def consumers(self, blob: str) -> tuple[Layer, ...]:
        """Find the layers that read a blob, in execution order."""
        return tuple(self._consumers.get(blob, ()))

    def resolve_split(self, blob: str) -> str:
        """Go up through Split layers to the blob that they copy."""
        while (layer := self.producer(blob)).type == "Split":
            blob = layer.bottoms[0]
        return blob

    def readers(self, blob: str) -> tuple[Layer, ...]:
        """Find the layers that read a blob itself or a Split's copy of it."""
        found: list[Layer] = []
        for layer in self.consumers(blob):
            copies = layer.tops if layer.type == "Split" else ()
            found += [reader for copy in copies for reader in self.readers(copy)]
            found += [] if copies else [layer]
        return tuple(found)
