"""The integers of one layer: chosen on the measured moments of its inputs, and written as fp32."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums, may_run_winograd
from quantkit.model.param import Layer
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.tuning.bias import mean_shift, with_bias_moved
from quantkit.tuning.gptq import DAMPING, Floats, gptq, nearest, squared_error
from quantkit.tuning.rounding_blocks import WeightBlocks
from quantkit.tuning.rounding_descent import descended
from quantkit.tuning.rounding_moments import InputMoments

RoundingName = Literal["gptq", "nearest"]


@dataclass(frozen=True)
class RoundingOptions:
    """What is done; each part can be switched off alone.

    Attributes:
        rounding: How integers are chosen.
        bias: Whether the biases make up for the mean error. The choice then minds the rest alone.
        sweeps: Most sweeps of coordinate descent behind GPTQ; 0 for none.
        damping: Of GPTQ's Hessian, as a share of its diagonal's mean.
    """

    rounding: RoundingName = "gptq"
    bias: bool = True
    sweeps: int = 3
    damping: float = DAMPING


@dataclass(frozen=True)
class LayerRounding:
    """What rounding does to one layer's output, before its activation, on the measured inputs.

    Attributes:
        nearest: Mean square error with the nearest integers and the bias as it was.
        chosen: The same with what was chosen.
        moved: Share of the integers that are not the nearest.
    """

    nearest: float
    chosen: float
    moved: float


def rounded_layer(
    layer: Layer,
    weights: LayerWeights,
    weight_scales: Sequence[float],
    blocks: WeightBlocks,
    moments: InputMoments,
    options: RoundingOptions,
    *,
    nonnegative: bool = False,
) -> tuple[LayerWeights, LayerRounding]:
    """Choose the integers of a layer.

    No integer is larger than the largest of its output channel rounded to nearest. Where ncnn may
    run Winograd F43, no channel's sums leave what F43 gets right unless they did before.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        weights: Its weights.
        weight_scales: Of the table.
        blocks: How the weights are cut.
        moments: Of its inputs.
        options: What is done.
        nonnegative: Whether its input is never negative.

    Returns:
        Weights that the table's scales round to the chosen integers, and the errors.
    """
    scales = _by_row(blocks, weight_scales)
    scaled = _scaled(blocks, weights, scales)
    plain = nearest(scaled, 127)
    second = moments.covariance + moments.mean[:, :, None] * moments.mean[:, None, :]
    corrected = options.bias and "bias" in weights.records
    judge = moments.covariance if corrected else second
    chosen = plain
    if options.rounding == "gptq":
        chosen = _better(scaled, plain, judge, options)
        if may_run_winograd(layer):
            chosen = _within_winograd(blocks, chosen, plain, nonnegative=nonnegative)
    snapped = LayerWeights({**weights.records, "weight": _snapped(blocks, chosen, scales)})
    if corrected:
        shift = mean_shift(blocks, scaled, chosen, scales, moments.mean)
        snapped = with_bias_moved(snapped, shift)
    before, after = (
        float((squared_error(scaled, one, hessian) / scales**2).sum())
        for one, hessian in ((plain, second), (chosen, judge))
    )
    return snapped, LayerRounding(before, after, float((chosen != plain).mean()))


def _scaled(blocks: WeightBlocks, weights: LayerWeights, scales: Floats) -> Floats:
    # The product is rounded to float32 as the kernel does, so that ties fall the same way.
    single = blocks.folded(weights["weight"]).astype(np.float32)
    return (single * scales.astype(np.float32)[..., None]).astype(np.float64)


def _by_row(blocks: WeightBlocks, weight_scales: Sequence[float]) -> Floats:
    scales = np.array(weight_scales, np.float32).astype(np.float64)
    outputs = np.repeat(scales, blocks.groups * blocks.rows // blocks.scales)
    return np.repeat(outputs.reshape(blocks.groups, blocks.rows), blocks.parts, axis=0)


def _better(scaled: Floats, plain: Floats, judge: Floats, options: RoundingOptions) -> Floats:
    levels = np.abs(plain).max(axis=2)
    found = gptq(scaled, judge, levels, options.damping)
    return descended(scaled, found, judge, levels, options.sweeps)


def _within_winograd(
    blocks: WeightBlocks, chosen: Floats, plain: Floats, *, nonnegative: bool
) -> Floats:
    """Give back the nearest integers to the channels whose sums could overflow."""
    rows, before = (
        blocks.flat(one).astype(np.int8).reshape(blocks.rows, -1) for one in (chosen, plain)
    )
    sums, allowed = (largest_sums(one, nonnegative=nonnegative) for one in (rows, before))
    beyond = sums > np.maximum(allowed, MOST_EXACT)
    return blocks.folded(np.where(beyond[:, None], before, rows).reshape(-1))


def _snapped(blocks: WeightBlocks, integers: Floats, scales: Floats) -> Record:
    values = blocks.flat(integers / scales[..., None]).astype(np.float32)
    return Record(values, FP32_TAG)
