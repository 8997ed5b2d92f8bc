"""Rounding layer by layer, each on what the int8 layers before it really hand it.

The weights aimed at make up for the part of the earlier layers' error that shows in a layer's
inputs. Source: Li et al., "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric
Calibration" (arXiv 2504.02692); here by ridge regression, which keeps the weights near their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.weights import LayerWeights
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.tuning.rounding import Rounded
from quantkit.tuning.rounding_blocks import WeightBlocks
from quantkit.tuning.rounding_layer import Aim, LayerRounding, RoundingOptions, rounded_layer
from quantkit.tuning.rounding_moments import InputMoments, Sampling, fake_quantized
from quantkit.tuning.rounding_patches import Array, patches
from quantkit.tuning.suffix import Blobs, Walk, load_alone


@dataclass(frozen=True)
class SequenceOptions:
    """How far a layer makes up for the layers before it.

    Attributes:
        ridge: What holds the weights near their own, as a share of the inputs' mean variance.
        drift: Share of the mean that the inputs lack which the biases make up for. All of it is
            too much: means of a few crops, passed on through many layers.
        rounding: How each layer is rounded.
    """

    ridge: float = 1.0
    drift: float = 0.5
    rounding: RoundingOptions = field(default=RoundingOptions())


def round_in_sequence(
    network: Network,
    table: CalibrationTable,
    sampling: Sampling,
    outputs: Sequence[str],
    options: SequenceOptions | None = None,
) -> Rounded:
    """Round the layers of a table in their order, as `round_weights`, on the int8 net's own inputs.

    All crops are held at once, each with the blobs that are alive at one layer. The fp32 inputs
    count up to the threshold only, so that outliers which int8 clips move nothing.

    Args:
        network: The fp32 network.
        table: Its scales.
        sampling: The crops, and how they are sampled.
        outputs: The network's outputs.
        options: How far each layer makes up for those before it.

    Raises:
        InputError: There are no crops, or a network cannot be run on them.
    """
    return _Sequence(network, table, sampling, options or SequenceOptions()).rounded(outputs)


class _Sequence:
    def __init__(
        self,
        network: Network,
        table: CalibrationTable,
        sampling: Sampling,
        options: SequenceOptions,
    ) -> None:
        self._network, self._table = network, table
        self._sampling, self._options = sampling, options
        self._positive = nonnegative_blobs(network.param)

    def rounded(self, outputs: Sequence[str]) -> Rounded:
        crops, threads = list(self._sampling.crops()), self._sampling.threads
        if not crops:
            message = "there are no crops to measure the layers' inputs on"
            raise InputError(message)
        names = [one.name for one in self._network.param.layers if one.name in self._table.layers]
        weights: dict[str, LayerWeights] = {}
        report: dict[str, LayerRounding] = {}
        start = self._int8(self._network, self._table)
        input = self._sampling.input
        with (
            Walk(self._network, input, outputs, crops, threads) as exact,
            Walk(start, input, outputs, crops, threads) as int8,
        ):
            for done, name in enumerate(names, start=1):
                pairs = zip(exact.before(name), int8.before(name), strict=True)
                weights[name], report[name] = self._layer(name, list(pairs))
                single = self._network.replaced({}, {name: weights[name]})
                alone = self._int8(single, self._table.only([name]))
                int8.swap({name: load_alone(alone, name)})
                self._sampling.progress("rounding in sequence", done, len(names))
        return Rounded(self._network.replaced({}, weights), report)

    @staticmethod
    def _int8(network: Network, table: CalibrationTable) -> Network:
        return quantize(network, table, requantize=never, store_fp16=False)

    def _layer(
        self, name: str, pairs: Sequence[tuple[Blobs, Blobs]]
    ) -> tuple[LayerWeights, LayerRounding]:
        layer = self._network.param.layer(name)
        blocks = WeightBlocks.of(layer)
        exact, int8 = self._patches(name, blocks, pairs)
        moments, aim = _aimed(exact, int8, self._options)
        return rounded_layer(
            layer,
            self._network.weights[name],
            self._table.weight_scales[name],
            blocks,
            moments,
            self._options.rounding,
            nonnegative=layer.bottoms[0] in self._positive,
            aim=aim,
        )

    def _patches(
        self, name: str, blocks: WeightBlocks, pairs: Sequence[tuple[Blobs, Blobs]]
    ) -> tuple[Array, Array]:
        layer, scale = self._network.param.layer(name), self._table.activation_scales[name]
        limit = np.float32(127 / scale)

        def taken(side: int) -> Array:
            found = [
                patches(
                    layer,
                    blocks,
                    pair[side][layer.bottoms[0]],
                    self._sampling.positions,
                    np.random.default_rng((self._sampling.seed, number)),
                )
                for number, pair in enumerate(pairs)
            ]
            return np.concatenate(found, axis=1)

        exact: Array = np.clip(taken(0), -limit, limit)
        return exact, fake_quantized(taken(1), scale)


def _aimed(exact: Array, int8: Array, options: SequenceOptions) -> tuple[InputMoments, Aim]:
    """Regress what the fp32 network hands a layer on what the int8 network hands it."""
    count = int8.shape[1]
    mean = int8.mean(axis=1, dtype=np.float64)
    expected = exact.mean(axis=1, dtype=np.float64)
    centred = int8 - mean[:, None].astype(np.float32)
    covariance = (centred.transpose(0, 2, 1) @ centred).astype(np.float64) / count
    exact = exact - expected[:, None].astype(np.float32)
    cross = (exact.transpose(0, 2, 1) @ centred).astype(np.float64) / count
    variance = np.einsum("bkk->b", covariance) / covariance.shape[1]
    held = np.where(variance > 0, options.ridge * variance, 1.0)
    ridge = held[:, None, None] * np.eye(covariance.shape[1])
    # Both matrices on the right are symmetric or transposed: cross (covariance + ridge)^-1.
    transform = np.linalg.solve(covariance + ridge, (cross + ridge).transpose(0, 2, 1))
    aim = Aim(transform.transpose(0, 2, 1), options.drift * (expected - mean))
    return InputMoments(mean, covariance, count), aim
