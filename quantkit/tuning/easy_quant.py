"""ncnn2table's third method, `eq`, so that it works and ends.

EasyQuant (Wu et al., arXiv 2006.16669) chooses scales by the cosine similarity of a layer's int8
output with its fp32 output, with the layer's input in fp32. As ncnn2table does it (quantize_EQ):
from the scales of `kl`, in each layer each weight scale in turn and then the activation scale is
searched in 100 steps from half to twice of it, for the greatest mean over at most 50 images.

ncnn2table itself crashes: in its loop over the network's inputs it takes the shape, the mean and
the list of images of input j, the number of the weight scale, so that the second scale reads past
the end; and of that list always the image of the layer's number, past the end in a net of more
layers than images. And it would hardly end: for each scale of each layer and each image it runs
the net to that layer and then the layer 100 times. For a net of 18,000 weight scales and 16 images
that is 29 million layers that are loaded and run.

What differs here, and why:

- No channel's output depends on the weight scale of another, so all channels are run at once with
  their k-th scales and the similarities follow from sums: 200 runs of a layer and image, not 100
  for each channel. The scales are those that single runs would find, but for roundings.
- The scale that the search starts from is tried too and kept unless another one is better: it is
  not among ncnn2table's steps, which so can end below where they began, and take the first one
  where all are equal.
- A 3x3 layer starts from 6 bits, as in ncnn2table, but gets a larger scale only where its sums are
  proven to fit in Winograd F43. ncnn2table takes up to 62 levels unseen.
- The similarity is summed up from the errors, mostly in float64. An image on which the fp32 output
  is all zero counts for nothing; in ncnn2table its NaN stops the search of that scale.
- A channel without weights keeps the scale 1, and a layer that ncnn's runtime gets wrong or dies
  of in int8 keeps the scales of `kl`, with a note.
- The int8 layer is run as it will be in the net (ncnn2table switches the packed layouts off).
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np

from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.compat import calibrate_as_ncnn2table
from quantkit.calibration.layer_inputs import no_crops
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.errors import InputError
from quantkit.model.eligibility import hazards
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.progress import Progress, silent
from quantkit.tuning.easy_quant_grid import STEPS, grid, weight_grid
from quantkit.tuning.easy_quant_layer import Candidates, LayerScales, LayerTrial
from quantkit.tuning.suffix import Array, Walk, alone

STAGE: Final = "scales of each layer's output"
MOST_CROPS: Final = 50


def easy_quant(
    network: Network,
    statistics: ActivationStatistics,
    input: str,
    crops: Iterable[Array],
    progress: Progress = silent,
    threads: int = 2,
    *,
    steps: int = STEPS,
    rounds: int = 1,
) -> Calibration:
    """Choose the scales as ncnn2table's `eq` is meant to.

    It ends after `rounds` times 2 (1 + steps) runs of each layer and crop. Held in memory are the
    crops, what is alive of them before one layer, its fp32 outputs, and four float64 values for
    each step, crop and weight scale of one layer. The result does not depend on `threads`.

    Args:
        network: The fp32 network.
        statistics: From `collect_as_ncnn2table` with the method `kl`.
        input: The network's input blob.
        crops: Inputs of shape (channels, height, width); the first 50 are taken.
        progress: Told after each layer.
        threads: How many scales are tried at a time.
        steps: How many scales are tried from half to twice of the first.
        rounds: How often weight and activation scales are searched in turn, at most; ncnn2table
            does it once, the paper until nothing changes.

    Returns:
        The table; layers that could not be searched are named in its notes.

    Raises:
        InputError: There are no crops, `steps` or `rounds` is not positive, a weight is NaN or
            infinite, or ncnn refuses the network or a crop.
    """
    if steps < 1 or rounds < 1:
        message = f"steps and rounds must be at least 1, got {steps} and {rounds}"
        raise InputError(message)
    start = calibrate_as_ncnn2table(network, statistics, "kl")
    taken = list(islice(crops, MOST_CROPS))
    if not taken:
        raise no_crops()
    found: dict[str, LayerScales] = {}
    notes = dict(start.notes)
    names = start.table.layers
    nonnegative = nonnegative_blobs(network.param)
    with (
        ThreadPoolExecutor(threads) as pool,
        Walk(network, input, (), taken, threads) as walk,
    ):
        for number, name in enumerate(names, start=1):
            bottom = network.param.layer(name).bottoms[0]
            inputs = [alive[bottom] for alive in walk.before(name)]
            trial = LayerTrial(
                alone(network, name),
                network.param.layer(name),
                start.table.only([name]),
                inputs,
                pool,
            )
            one = _searched(trial, steps, rounds, nonnegative=bottom in nonnegative)
            if isinstance(one, str):
                notes[name] = "; ".join(filter(None, (notes.get(name), one)))
            else:
                found[name] = one
            progress(STAGE, number, len(names))
    return _with(start, found, notes)


def _searched(
    trial: LayerTrial, steps: int, rounds: int, *, nonnegative: bool
) -> LayerScales | str:
    """Search a layer, or say why it keeps its scales."""
    layer = trial.layer
    danger = hazards(trial.single, {layer.bottoms[0]: trial.inputs[0].shape})
    if layer.name in danger:
        return f"keeps the scales of kl: {danger[layer.name]}"
    reference = trial.reference()
    if not reference.usable:
        return "keeps the scales of kl: its fp32 output is zero or not finite on every crop"
    starts = trial.start.weight_scales[layer.name]
    weights = trial.single.weights[layer.name]["weight"].astype(np.float32)
    rows = weights.reshape(len(starts), -1)
    tried = Candidates(
        weight_grid(layer, rows, starts, steps, nonnegative=nonnegative),
        grid(tuple(trial.start.activation_scales.values()), steps)[:, 0],
    )
    return trial.search(reference, tried, rounds)


def _with(start: Calibration, found: dict[str, LayerScales], notes: dict[str, str]) -> Calibration:
    table = replace(
        start.table,
        weight_scales={
            name: found[name].weights if name in found else scales
            for name, scales in start.table.weight_scales.items()
        },
        activation_scales={
            name: found[name].activation if name in found else scale
            for name, scale in start.table.activation_scales.items()
        },
    )
    thresholds = {name: 127 / table.activation_scales[name] for name in found}
    return replace(start, table=table, thresholds={**start.thresholds, **thresholds}, notes=notes)
