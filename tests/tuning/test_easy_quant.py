from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.compat import calibrate_as_ncnn2table, collect_as_ncnn2table
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights, Record
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.tuning.easy_quant import MOST_CROPS, easy_quant
from quantkit.tuning.easy_quant_grid import grid, weight_grid
from quantkit.tuning.easy_quant_layer import Candidates, LayerTrial
from quantkit.tuning.easy_quant_similarity import Reference
from quantkit.tuning.suffix import alone
from tests.nets import INPUT, NetBuilder, crop, small_network

Array = NDArray[np.float32]
KINDS = ("stem", "depthwise", "grouped", "pointwise", "fc")


def _one_layer(kind: str) -> Network:
    net = NetBuilder(np.random.default_rng(3))
    if kind == "stem":
        net.conv(kind, INPUT, "out", (3, 5), kernel=3, relu=True)
    elif kind == "depthwise":
        net.conv(kind, INPUT, "out", (3, 3), kernel=3, group=3, stride=2)
    elif kind == "grouped":
        net.conv("first", INPUT, "first", (3, 4))
        net.conv(kind, "first", "out", (4, 6), kernel=3, group=2, relu=True)
    elif kind == "pointwise":
        net.conv(kind, INPUT, "out", (3, 4), relu=True)
    else:
        net.add("Pooling", "pool", [INPUT], ["pooled"], {0: 1, 4: 1})
        net.add("InnerProduct", kind, ["pooled"], ["out"], {0: 4, 1: 1, 2: 12})
    return net.build()


def _crops(count: int, seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    # One value far out, so that clipping is worth it.
    crops = [crop(rng)[:, :16, :12].copy() for _ in range(count)]
    for one in crops:
        one[0, 0, 0] = 12
    return crops


def _statistics(network: Network, crops: list[Array]) -> ActivationStatistics:
    return collect_as_ncnn2table(network, INPUT, lambda: crops, "kl")


def _easy_quant(
    network: Network, crops: list[Array], *, steps: int, rounds: int = 1
) -> Calibration:
    statistics = _statistics(network, crops)
    return easy_quant(network, statistics, INPUT, crops, steps=steps, rounds=rounds)


class _OneByOne:
    """The mean cosine similarity of a layer's output by a whole run for every question."""

    def __init__(self, network: Network, layer: str, crops: list[Array]) -> None:
        self._fp32, self._layer, self._crops = network, layer, crops
        self._reference = self._run(network)

    def __call__(self, weights: NDArray[np.float64], activation: float) -> float:
        table = CalibrationTable(
            {self._layer: tuple(map(float, weights))}, {self._layer: float(activation)}
        )
        int8 = quantize(self._fp32, table, store_fp16=False, requantize=never)
        cosines = [
            float((r * q).sum() / np.sqrt((r * r).sum() * (q * q).sum()))
            for r, q in zip(self._reference, self._run(int8), strict=True)
        ]
        return float(np.mean(cosines))

    def _run(self, network: Network) -> list[NDArray[np.float64]]:
        with NcnnNet(
            network.param_text(), network.bin_bytes(), input=INPUT, outputs=("out",)
        ) as net:
            return [net.run(one)[0].astype(np.float64) for one in self._crops]


@pytest.mark.parametrize("kind", KINDS)
def test_each_scale_has_the_greatest_cosine_of_its_grid_given_those_before(kind: str) -> None:
    network, crops, steps = _one_layer(kind), _crops(3), 12
    start = calibrate_as_ncnn2table(network, _statistics(network, crops)).table
    chosen = _easy_quant(network, crops, steps=steps).table
    judge = _OneByOne(network, kind, crops)
    weights = np.array(start.weight_scales[kind])
    activation = start.activation_scales[kind]
    for channel, choice in enumerate(chosen.weight_scales[kind]):
        found = {}
        for scale in grid([weights[channel]], steps)[:, 0]:
            weights[channel] = scale
            found[scale] = judge(weights, activation)
        assert choice in found
        assert found[choice] == pytest.approx(max(found.values()), abs=1e-8)
        weights[channel] = choice
    found = {scale: judge(weights, scale) for scale in grid([activation], steps)[:, 0]}
    assert found[chosen.activation_scales[kind]] == pytest.approx(max(found.values()), abs=1e-8)
    before = judge(np.array(start.weight_scales[kind]), activation)
    assert max(found.values()) > before


def test_an_activation_scale_that_starts_too_coarse_becomes_the_largest_of_its_grid() -> None:
    network, crops = _one_layer("pointwise"), [crop(np.random.default_rng(1))]
    statistics = _statistics(network, crops)
    coarse = {name: replace(one, absmax=one.absmax * 8) for name, one in statistics.items()}
    start = calibrate_as_ncnn2table(network, coarse).table
    found = easy_quant(network, coarse, INPUT, crops, steps=4).table
    scale = found.activation_scales["pointwise"]
    assert scale == pytest.approx(start.activation_scales["pointwise"] * 1.625)


def test_a_whole_network_ends_with_a_table_for_every_layer() -> None:
    network = small_network(np.random.default_rng(0))
    crops = [crop(np.random.default_rng(seed)) for seed in (1, 2)]
    told: list[tuple[int, int]] = []
    statistics = _statistics(network, crops)
    found = easy_quant(
        network,
        statistics,
        INPUT,
        crops,
        lambda _, done, total: told.append((done, total)),
        steps=6,
    )
    start = calibrate_as_ncnn2table(network, statistics)
    assert found.table.layers == start.table.layers
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert len(told) == len(found.table.layers)
    assert parse_table(found.table.text()) == found.table
    for name in found.table.layers:
        assert found.thresholds[name] == pytest.approx(
            127 / found.table.activation_scales[name], rel=1e-4
        )
    alone = easy_quant(network, statistics, INPUT, crops, threads=1, steps=6)
    assert alone.table == found.table


def test_more_rounds_never_lower_the_similarity() -> None:
    network, crops = _one_layer("stem"), _crops(2)
    judge = _OneByOne(network, "stem", crops)
    similarity = []
    for rounds in (1, 2, 5):
        table = _easy_quant(network, crops, steps=20, rounds=rounds).table
        weights = np.array(table.weight_scales["stem"])
        similarity.append(judge(weights, table.activation_scales["stem"]))
    assert similarity[0] <= similarity[1] + 1e-12
    assert similarity[1] <= similarity[2] + 1e-12


def test_similarities_before_and_after_are_those_of_whole_runs() -> None:
    network, crops, name = _one_layer("grouped"), _crops(2), "grouped"
    table = calibrate_as_ncnn2table(network, _statistics(network, crops)).table.only([name])
    judge = _OneByOne(network, name, crops)
    with (
        ThreadPoolExecutor(2) as pool,
        NcnnNet(
            network.param_text(), network.bin_bytes(), input=INPUT, outputs=("first",)
        ) as first,
    ):
        inputs = [first.run(one)[0] for one in crops]
        trial = LayerTrial(alone(network, name), network.param.layer(name), table, inputs, pool)
        starts = table.weight_scales[name]
        tried = Candidates(grid(starts, 7), grid([table.activation_scales[name]], 7)[:, 0])
        found = trial.search(trial.reference(), tried, rounds=2)
    before = judge(np.array(starts), table.activation_scales[name])
    after = judge(np.array(found.weights), found.activation)
    assert found.before == pytest.approx(before, abs=1e-7)
    assert found.after == pytest.approx(after, abs=1e-7)
    assert found.before < found.after < 1


def test_the_grid_goes_from_half_to_a_step_below_twice() -> None:
    tried = grid([10.0, 0.3])
    assert tried.shape == (101, 2)
    assert tried[0].tolist() == [10.0, 0.3]
    assert tried[1].tolist() == [5.0, 0.15]
    assert tried[-1].tolist() == [19.85, 0.5955]
    assert tried[2, 0] == pytest.approx(5.15)


def test_scales_that_a_table_cannot_hold_are_not_tried() -> None:
    tried = grid([1e-6, 3e38], steps=4)
    assert (tried > 0).all()
    assert (tried <= np.finfo(np.float32).max).all()
    assert tried[1:, 0].tolist() == [1e-6, 1e-6, 1e-6, 2e-6]
    assert tried[-1, 1] == 3e38


@pytest.mark.parametrize(("nonnegative", "inputs"), [(False, 160), (True, 320)])
def test_3x3_weights_go_beyond_6_bits_only_where_f43_is_proven_exact(
    nonnegative: bool, inputs: int
) -> None:
    rng = np.random.default_rng(0)
    layer = _one_layer("stem").param.layer("stem").with_params({0: "3", 6: str(3 * 9 * inputs)})
    rows = rng.uniform(-1, 1, (3, 9 * inputs)).astype(np.float32)
    rows[1] /= 100
    rows[1, 0] = 1
    rows[2] = 0
    starts = (*(31 / np.abs(rows[:2]).max(axis=1)).tolist(), 1.0)
    tried = weight_grid(layer, rows, starts, nonnegative=nonnegative)
    assert set(tried[:, 2]) == {1.0}
    largest = tried.max(axis=0)
    assert largest[1] > 1.9 * starts[1]
    assert largest[0] < 1.9 * starts[0]
    for row in tried:
        integers = to_int8(rows.reshape(-1), row.astype(np.float32)).reshape(rows.shape)
        sums = largest_sums(integers, nonnegative=nonnegative)
        assert ((sums <= MOST_EXACT) | (row <= tried[0])).all()
    strided = layer.with_params({3: "2"})
    assert weight_grid(strided, rows, starts).max(axis=0)[0] > 1.9 * starts[0]


def test_a_dead_channel_keeps_its_scale() -> None:
    network = _one_layer("pointwise")
    weights = network.weights["pointwise"].records
    rows = weights["weight"].stored.reshape(4, 3).copy()
    rows[2] = 0
    changed = {**weights, "weight": Record(rows.reshape(-1), weights["weight"].tag)}
    network = network.replaced({}, {"pointwise": LayerWeights(changed)})
    found = _easy_quant(network, _crops(2), steps=5)
    assert found.table.weight_scales["pointwise"][2] == 1
    assert "no weights" in found.notes["pointwise"]


def test_a_layer_whose_output_is_always_zero_keeps_the_scales_of_kl() -> None:
    network = _one_layer("pointwise")
    weights = network.weights["pointwise"].records
    down = Record(np.full(4, -1e6, np.float32))
    network = network.replaced({}, {"pointwise": LayerWeights({**weights, "bias": down})})
    crops = _crops(2)
    found = _easy_quant(network, crops, steps=5)
    assert "zero or not finite" in found.notes["pointwise"]
    assert found.table == calibrate_as_ncnn2table(network, _statistics(network, crops)).table


def test_a_crop_of_zeros_does_not_disturb_the_others() -> None:
    network = _one_layer("depthwise")
    weights = network.weights["depthwise"].records
    unbiased = {**weights, "bias": Record(np.zeros(3, np.float32))}
    network = network.replaced({}, {"depthwise": LayerWeights(unbiased)})
    crops = _crops(2)
    statistics = _statistics(network, crops)
    plain = easy_quant(network, statistics, INPUT, crops, steps=20)
    zeros = np.zeros_like(crops[0])
    assert easy_quant(network, statistics, INPUT, [zeros, *crops], steps=20) == plain


def test_a_layer_that_the_runtime_gets_wrong_is_not_run() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "a", (3, 4))
    net.add("Pooling", "pool", ["a"], ["b"], {0: 1, 4: 1})
    net.conv("excite", "b", "out", (4, 4))
    network, crops = net.build(), _crops(2)
    found = _easy_quant(network, crops, steps=4)
    start = calibrate_as_ncnn2table(network, _statistics(network, crops)).table
    assert list(found.notes) == ["excite"]
    assert "1-D blob" in found.notes["excite"]
    assert found.table.weight_scales["excite"] == start.weight_scales["excite"]
    assert found.table.weight_scales["stem"] != start.weight_scales["stem"]


def test_a_layer_that_reads_zeros_is_left_out() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "a", (3, 4))
    net.add("BinaryOp", "nothing", ["a"], ["b"], {0: 2, 1: 1, 2: 0})
    net.conv("blind", "b", "out", (4, 4))
    found = _easy_quant(net.build(), _crops(1), steps=3)
    assert found.table.layers == ("stem",)
    assert list(found.left_out) == ["blind"]


def test_an_int8_output_that_is_no_match_is_never_chosen() -> None:
    layer = _one_layer("pointwise").param.layer("pointwise")
    output = np.ones((4, 2, 2), np.float32)
    reference = Reference(layer, [output])
    similarity = [
        reference.of(reference.sums([bad]))
        for bad in (output, output * 0, output * np.float32(np.inf), -output)
    ]
    assert similarity == pytest.approx([1, 0, -1, -1])


def test_an_endless_stream_of_crops_ends_at_fifty() -> None:
    network, crops = _one_layer("pointwise"), _crops(1)
    statistics = _statistics(network, crops)
    found = easy_quant(network, statistics, INPUT, repeat(crops[0]), steps=2)
    fifty = easy_quant(network, statistics, INPUT, crops * MOST_CROPS, steps=2)
    assert found.table == fifty.table


def test_no_crops_or_steps_are_refused() -> None:
    network, crops = _one_layer("pointwise"), _crops(1)
    statistics = _statistics(network, crops)
    with pytest.raises(InputError, match="no calibration crops"):
        easy_quant(network, statistics, INPUT, [])
    with pytest.raises(InputError, match="at least 1, got 0 and 1"):
        easy_quant(network, statistics, INPUT, crops, steps=0)
