"""Tables as ncnn2table writes them: its passes, its weight scales, its 6-bit rule, its rounding.

What differs: a channel without weights has the scale 1 and not `inf` (the same integers), and a
layer without a finite positive scale (an input of zeros, `inf` there; `aciq` of a single value, 0
there) is left out or named. An input whose values all have one size is kept whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.aciq import gaussian_clip
from quantkit.calibration.calibrate import Calibration, calibrate
from quantkit.calibration.statistics import ActivationStatistics, collect
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table_lines import printed
from quantkit.calibration.weight_scales import DEAD_SCALE, ncnn2table_levels, scale_count
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.progress import Progress, silent

Array = NDArray[np.float32]
CompatMethod = Literal["kl", "aciq"]


def collect_as_ncnn2table(
    network: Network,
    input: str,
    crops: Callable[[], Iterable[Array]],
    method: CompatMethod,
    progress: Progress = silent,
    threads: int = 2,
    *,
    layers: Sequence[str] | None = None,
    total: int = 0,
    describe: Callable[[int], str] = "crop {}".format,
) -> ActivationStatistics:
    """Collect what a method of ncnn2table needs: `kl` two passes, `aciq` the ranges alone.

    Arguments and errors are those of `quantkit.calibration.statistics.collect`; `layers` are by
    default all that could be int8.
    """
    if layers is None:
        layers = [layer.name for layer in int8_layers(network)]
    if method == "kl":
        return collect(
            network, input, crops, layers, progress, threads, total=total, describe=describe
        )
    return collect_streaming(
        network, input, crops(), layers, progress, threads, total=total, describe=describe
    )


def calibrate_as_ncnn2table(
    network: Network, statistics: ActivationStatistics, method: CompatMethod = "kl"
) -> Calibration:
    """Choose the scales as ncnn2table does, of the layers that the runtime gets wrong too.

    Args:
        network: The fp32 network.
        statistics: From `collect_as_ncnn2table`.
        method: `kl`, or `aciq`, which clips the weights as well.

    Raises:
        InputError: A weight is NaN or infinite.
    """
    found = calibrate(network, statistics, method, keep_hazards=True, levels="ncnn2table")
    if method == "kl":
        return found
    table = replace(found.table, weight_scales=_aciq_weights(network, found.table.weight_scales))
    alone = {
        name: "its input is one value, for which ncnn2table's aciq writes the scale 0"
        for name in table.activation_scales
        if statistics[name].shape and np.prod(statistics[name].shape) == 1
    }
    notes = {
        name: "; ".join(text for text in (found.notes.get(name), alone.get(name)) if text)
        for name in {**found.notes, **alone}
    }
    return replace(found, table=table, notes=notes)


def _aciq_weights(network: Network, names: Iterable[str]) -> Mapping[str, tuple[float, ...]]:
    return {
        name: aciq_weight_scales(
            network.param.layer(name), network.weights[name]["weight"].astype(np.float32)
        )
        for name in names
    }


def aciq_weight_scales(layer: Layer, weights: Array) -> tuple[float, ...]:
    """Compute the weight scales of ncnn2table's `aciq`, one an output channel or group.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct.
        weights: Its weights, the output channel outermost; finite.
    """
    rows = np.abs(weights.reshape(scale_count(layer), -1))
    levels = ncnn2table_levels(layer)
    clips = (gaussian_clip(float(row.max()), row.size, levels) for row in rows)
    return tuple(
        printed(float(np.float32(levels) / np.float32(clip))) if clip > 0 else DEAD_SCALE
        for clip in clips
    )
