"""Mean and covariance of what each int8 layer reads, as int8 makes it of the fp32 blobs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.forward_pool import in_order
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.progress import Progress, silent
from quantkit.tuning.gptq import Floats
from quantkit.tuning.rounding_blocks import WeightBlocks
from quantkit.tuning.rounding_patches import Array, patches

Crops = Callable[[], Iterable[Array]]

_RESOLVED = 1e-5
"""A smaller variance, in shares of the mean's square, is the rounding of float32 sums."""


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Of the input patches of one layer.

    Attributes:
        mean: Shape (blocks, columns).
        covariance: Shape (blocks, columns, columns).
        count: Number of patches.
    """

    mean: Floats
    covariance: Floats
    count: int


@dataclass(frozen=True)
class Sampling:
    """Which patches are taken, and by whom.

    Attributes:
        crops: Called for a stream of inputs of shape (channels, height, width).
        input: Name of the network's input blob.
        positions: Most output positions of one layer and crop.
        seed: Draws them.
        threads: How many crops are run at a time.
        total: How many crops there are, for the progress; 0 where that is not known.
        progress: Told after each crop.
    """

    crops: Crops
    input: str
    positions: int = 256
    seed: int = 0
    threads: int = 2
    total: int = 0
    progress: Progress = field(default=silent)


def fake_quantized(values: Array, scale: float) -> Array:
    """Round and clip to what int8 can hold, and scale back.

    Example:
        >>> fake_quantized(np.array([0.3, 9.0], np.float32), scale=32).tolist()
        [0.3125, 3.96875]
    """
    factor = np.float32(scale)
    integers = np.clip(np.rint(values * factor), np.float32(-127), np.float32(127))
    quantized: Array = integers / factor
    return quantized


def input_moments(
    network: Network,
    table: CalibrationTable,
    blocks: Mapping[str, WeightBlocks],
    sampling: Sampling,
    stage: str = "input moments",
) -> dict[str, InputMoments]:
    """Measure the inputs of some layers, with one forward a crop.

    Args:
        network: The fp32 network.
        table: Its activation scales.
        blocks: How the weights are cut, of each layer that is measured.
        sampling: The crops and which patches of them.
        stage: What `progress` is told.

    Raises:
        InputError: There are no crops, or the network cannot be run or gives NaN or infinity.
    """
    sums = {name: _Sums(one) for name, one in blocks.items()}
    done = 0
    for found in _each(network, table, blocks, sampling):
        for name, taken in found.items():
            sums[name].add(taken, name)
        done += 1
        sampling.progress(stage, done, max(done, sampling.total))
    if not done:
        message = "there are no crops to measure the layers' inputs on"
        raise InputError(message)
    return {name: one.moments() for name, one in sums.items()}


class _Sums:
    def __init__(self, blocks: WeightBlocks) -> None:
        self._first = np.zeros((blocks.count, blocks.columns))
        self._second = np.zeros((blocks.count, blocks.columns, blocks.columns))
        self._count = 0

    def add(self, taken: Array, layer: str) -> None:
        self._first += taken.sum(axis=1, dtype=np.float64)
        if not np.isfinite(self._first).all():
            message = f"the input of layer '{layer}' holds NaN or infinity; check the weights"
            raise InputError(message)
        self._second += taken.transpose(0, 2, 1) @ taken
        self._count += taken.shape[1]

    def moments(self) -> InputMoments:
        mean = self._first / self._count
        # In place: this is the largest array there is.
        self._second /= self._count
        varies = np.einsum("bkk->bk", self._second) - mean**2 > _RESOLVED * mean**2
        self._second -= mean[:, :, None] * mean[:, None, :]
        self._second *= varies[:, :, None]
        self._second *= varies[:, None, :]
        return InputMoments(mean, self._second, self._count)


def _each(
    network: Network,
    table: CalibrationTable,
    blocks: Mapping[str, WeightBlocks],
    sampling: Sampling,
) -> Iterator[dict[str, Array]]:
    graph = Graph(network.param)
    sources = {name: graph.resolve_split(network.param.layer(name).bottoms[0]) for name in blocks}
    with NcnnNet.of(network, sampling.input) as net:

        def take(numbered: tuple[int, Array]) -> dict[str, Array]:
            number, crop = numbered
            values = net.run_blobs(crop, list(sources.values()))
            found: dict[str, Array] = {}
            for name, cut in blocks.items():
                layer, blob = network.param.layer(name), values[sources[name]]
                # Each layer draws by itself, whichever others are measured with it.
                rng = np.random.default_rng((sampling.seed, number, crc32(name.encode())))
                taken = patches(layer, cut, blob, sampling.positions, rng)
                found[name] = fake_quantized(taken, table.activation_scales[name])
            return found

        yield from in_order(take, enumerate(sampling.crops()), sampling.threads)
