"""The search of ncnn2table's `eq` in one layer, judged by ncnn's own int8 layer."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.model.weights import INT8_TAG, LayerWeights, Record
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.quantization.rounding import to_int8
from quantkit.tuning.easy_quant_grid import Floats
from quantkit.tuning.easy_quant_similarity import ErrorSums, Reference, best_channels, better
from quantkit.tuning.suffix import Array, load_alone


@dataclass(frozen=True, eq=False)
class Candidates:
    """The scales that are tried in a layer; the first of each is where the search starts.

    Attributes:
        weights: Shape (candidates, weight scales).
        activation: Shape (candidates,).
    """

    weights: Floats
    activation: Floats


@dataclass(frozen=True)
class LayerScales:
    """What was chosen for a layer.

    Attributes:
        weights: The weight scales.
        activation: The activation scale.
        before: Mean cosine similarity of the layer's output where the search started.
        after: The same with what was chosen.
    """

    weights: tuple[float, ...]
    activation: float
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class LayerTrial:
    """A layer, what it reads, and how int8 forms of it are run.

    Attributes:
        single: The network of that layer alone, in fp32.
        layer: The layer.
        start: Its scales to start from.
        inputs: What it reads, for each crop.
        pool: Runs several scales at a time.
    """

    single: Network
    layer: Layer
    start: CalibrationTable
    inputs: Sequence[Array]
    pool: Executor

    def reference(self) -> Reference:
        """Run the layer in fp32."""
        return Reference(self.layer, self._outputs(load_alone(self.single, self.layer.name)))

    def search(self, reference: Reference, tried: Candidates, rounds: int) -> LayerScales:
        """Choose the weight scales one after the other, then the activation scale.

        Args:
            reference: From `reference`, usable.
            tried: The scales.
            rounds: How often that is done at most; it ends when nothing changes.

        Raises:
            InputError: ncnn refuses the layer.
        """
        weights = np.zeros(tried.weights.shape[1], np.intp)
        activation, before, after = 0, np.nan, np.nan
        for _ in range(rounds):
            scale = tried.activation[activation]
            sums = ErrorSums.stacked(self._tried(reference, [(w, scale) for w in tried.weights]))
            if np.isnan(before):
                before = reference.of(sums.taken(weights))
            old = weights, activation
            weights = best_channels(reference, sums, weights)
            row = _picked(tried.weights, weights)
            found = self._tried(reference, [(row, scale) for scale in tried.activation])
            similarity = np.array([reference.of(one) for one in found])
            activation = better(similarity, activation)
            after = float(similarity[activation])
            if activation == old[1] and np.array_equal(weights, old[0]):
                break
        scales = tuple(map(float, _picked(tried.weights, weights)))
        return LayerScales(scales, float(tried.activation[activation]), before, after)

    def _tried(
        self, reference: Reference, scales: Iterable[tuple[Floats, float]]
    ) -> list[ErrorSums]:
        def one(pair: tuple[Floats, float]) -> ErrorSums:
            return reference.sums(self._outputs(self._load(*pair)))

        return list(self.pool.map(one, scales))

    @cached_property
    def _int8(self) -> Network:
        return quantize(self.single, self.start, store_fp16=False, requantize=never)

    def _load(self, weights: Floats, activation: float) -> NcnnNet:
        """Load the layer in int8, as `quantize` makes it of a table with these scales."""
        name, scales = self.layer.name, weights.astype(np.float32)
        floats = self.single.weights[name]["weight"].astype(np.float32, copy=False)
        records = {
            **self._int8.weights[name].records,
            "weight": Record(to_int8(floats, scales), INT8_TAG),
            "weight_scales": Record(scales),
            "bottom_scale": Record(np.array([activation], np.float32)),
        }
        return load_alone(self._int8.replaced({}, {name: LayerWeights(records)}), name)

    def _outputs(self, net: NcnnNet) -> Iterator[Array]:
        """Run the crops; not all outputs are held at once, which would be half of the memory."""
        bottom, top = self.layer.bottoms[0], self.layer.tops[0]
        with net:
            for values in self.inputs:
                yield net.start({bottom: values}).blobs([top])[top]


def _picked(tried: Floats, chosen: NDArray[np.intp]) -> Floats:
    picked: Floats = tried[chosen, np.arange(len(chosen))]
    return picked
