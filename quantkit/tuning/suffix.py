"""Runs that start in the middle: one layer changed, and only what comes after it run again.

A layer is run by itself as a network of one layer; what it gives is fed, with all other blobs that
are alive behind it, to the whole network, of which ncnn then runs the rest alone. So nothing is
loaded again but the layer. The bits are those of a whole run, as long as no blob at a cut is
requantized: build int8 networks for this with `quantkit.quantization.requantize.never`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import Forward, NcnnNet
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param
from quantkit.tuning.sqnr import Outputs

Array = NDArray[np.float32]
Blobs = Mapping[str, Array]
Swaps = Mapping[str, NcnnNet]
"""Networks of one layer that stand in for a layer, by its name."""
NO_SWAPS: Final[Swaps] = {}


class Cuts:
    """Which blobs are alive before each layer: those made above it that it or a later one reads.

    Outputs stay alive to the end. The number of a cut is that of the layer below it.

    Args:
        param: The layers.
        outputs: Blobs that are asked for in the end.
    """

    def __init__(self, param: Param, outputs: Sequence[str]) -> None:
        self.outputs = tuple(outputs)
        self.param = param
        self._index = {layer.name: number for number, layer in enumerate(param.layers)}
        self._born = {top: n for n, layer in enumerate(param.layers) for top in layer.tops}
        self._read = {blob: n for n, layer in enumerate(param.layers) for blob in layer.bottoms}
        self._read |= dict.fromkeys(outputs, len(param.layers))
        self._alive: dict[int, tuple[str, ...]] = {}

    def of(self, layer: str) -> int:
        """Find the cut before a layer.

        Raises:
            InputError: There is no such layer.
        """
        return self._index[self.param.layer(layer).name]

    def before(self, cut: int) -> tuple[str, ...]:
        """Name the blobs that are alive before a layer."""
        if cut not in self._alive:
            self._alive[cut] = tuple(
                blob for blob, born in self._born.items() if born < cut <= self._read.get(blob, -1)
            )
        return self._alive[cut]


class Walk:
    """Takes crops through a network layer by layer, and from each layer tries what may replace it.

    Between two layers only the blobs that are alive are held, for each crop.

    Args:
        network: Its layers must hand floats on at every cut.
        input: Its input blob.
        outputs: Its outputs.
        crops: Inputs of shape (channels, height, width).
        threads: How many crops are run at a time.

    Raises:
        InputError: ncnn refuses the network, or a blob is not in it.
    """

    def __init__(
        self,
        network: Network,
        input: str,
        outputs: Sequence[str],
        crops: Sequence[Array],
        threads: int = 2,
    ) -> None:
        self.cuts = Cuts(network.param, outputs)
        self._net = NcnnNet.of(network, input, outputs)
        self._pool = ThreadPoolExecutor(threads)
        self._forwards = [self._net.start({input: crop}) for crop in crops]
        self._pending: dict[str, NcnnNet] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        # The network is freed with the last forward pass of it, which an error may still hold.
        self._forwards.clear()
        del self._net

    def before(self, layer: str) -> list[dict[str, Array]]:
        """Go on to a layer and give the blobs that are alive before it, for each crop.

        The layers must be asked for in their order.

        Raises:
            InputError: There is no such layer, or a blob cannot be computed.
        """
        cut = self.cuts.of(layer)
        passed = {name: net for name, net in self._pending.items() if self.cuts.of(name) < cut}

        def advance(forward: Forward) -> tuple[Forward, dict[str, Array]]:
            forward = self._through(forward, passed)
            return forward, forward.blobs(self.cuts.before(cut))

        found = list(self._pool.map(advance, self._forwards))
        self._forwards = [forward for forward, _ in found]
        for name in passed:
            del self._pending[name]
        return [blobs for _, blobs in found]

    def outputs(self, layer: str, alive: Sequence[Blobs], swaps: Swaps = NO_SWAPS) -> list[Outputs]:
        """Run from a layer to the outputs.

        Args:
            layer: Where to start.
            alive: What is alive before it, for each crop, from `before`; or some of the crops.
            swaps: What replaces this layer and, if so wanted, later ones.

        Returns:
            The outputs of each crop.

        Raises:
            InputError: There is no such layer, or an output cannot be computed.
        """
        ahead = {**self._ahead(self.cuts.of(layer)), **swaps}
        return list(self._pool.map(lambda blobs: self._finish(blobs, ahead), alive))

    def behind(self, layer: str, alive: Sequence[Blobs], made: Sequence[Blobs]) -> list[Outputs]:
        """Run from behind a layer to the outputs, with what somebody else made in its place.

        Args:
            layer: The layer that is left out.
            alive: What is alive before it, for each crop, from `before`.
            made: What is taken for its own outputs, by blob, for each crop.

        Returns:
            The outputs of each crop.

        Raises:
            InputError: There is no such layer, or an output cannot be computed.
        """
        cut = self.cuts.of(layer) + 1
        names, ahead = self.cuts.before(cut), self._ahead(cut)

        def finish(blobs: Blobs, tops: Blobs) -> Outputs:
            both = {**blobs, **tops}
            return self._finish({name: both[name] for name in names}, ahead)

        return list(self._pool.map(finish, alive, made))

    def swap(self, swaps: Swaps) -> None:
        """Go on with other layers, from the layer of the last `before` on, in place of those."""
        self._pending.update(swaps)

    def _ahead(self, cut: int) -> dict[str, NcnnNet]:
        return {name: net for name, net in self._pending.items() if self.cuts.of(name) >= cut}

    def _finish(self, blobs: Blobs, ahead: Swaps) -> Outputs:
        values = self._through(self._net.start(blobs), ahead).blobs(self.cuts.outputs)
        return tuple(values[name] for name in self.cuts.outputs)

    def _through(self, forward: Forward, swaps: Swaps) -> Forward:
        for name in sorted(swaps, key=self.cuts.of):
            cut = self.cuts.of(name)
            layer = self.cuts.param.layers[cut]
            blobs = forward.blobs(self.cuts.before(cut))
            made = swaps[name].start({blob: blobs[blob] for blob in layer.bottoms})
            blobs |= made.blobs(layer.tops)
            forward = self._net.start({blob: blobs[blob] for blob in self.cuts.before(cut + 1)})
        return forward


def alone(network: Network, name: str) -> Network:
    """Cut out one layer, as a network whose inputs are the blobs that it reads.

    Raises:
        InputError: There is no such layer.
    """
    layer = network.param.layer(name)
    inputs = tuple(
        Layer("Input", f"input_{number}", (), (blob,)) for number, blob in enumerate(layer.bottoms)
    )
    weights = {name: network.weights[name]} if name in network.weights else {}
    return Network(replace(network.param, layers=(*inputs, layer)), weights)


def load_alone(network: Network, name: str) -> NcnnNet:
    """Load one layer of a network by itself.

    Raises:
        InputError: There is no such layer, or ncnn refuses it.
    """
    single = alone(network, name)
    layer = network.param.layer(name)
    return NcnnNet.of(single, layer.bottoms[0], layer.tops)
