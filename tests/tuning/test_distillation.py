import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums, may_run_winograd
from quantkit.errors import InputError, Unavailable
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization import quantize
from quantkit.tuning.distillation import DistillSetting, Learned, Rates, learn
from quantkit.tuning.distillation.augmentation import Augmentation, batches
from quantkit.tuning.distillation.parameters import Parameters
from quantkit.tuning.distillation.torch_network import TorchNetwork
from quantkit.tuning.distillation.training import Training
from quantkit.tuning.equalization.channel_graph import ChannelGraph, channel_graph
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import simple_table

torch = pytest.importorskip("torch", exc_type=ImportError)
Array = NDArray[np.float32]
CROPS = [crop(np.random.default_rng(seed)) for seed in range(12)]
SETTING = DistillSetting(
    INPUT,
    (OUTPUT,),
    CROPS[:8],
    CROPS[8:],
    steps=24,
    rates=Rates(integers=0.01, thresholds=0.02),
    checks=2,
    threads=1,
)
NONE = Rates(integers=0, scales=0, biases=0, thresholds=0, factors=0)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(network: Network) -> CalibrationTable:
    """A table whose thresholds clip, and whose weights have few levels."""
    good = simple_table(network, CROPS[0], [layer.name for layer in int8_layers(network)])
    return CalibrationTable(
        {name: tuple(x / 8 for x in scales) for name, scales in good.weight_scales.items()},
        {
            name: scale * (1 if name == "stem" else 1.6)
            for name, scale in good.activation_scales.items()
        },
    )


@pytest.fixture(scope="module")
def learned(network: Network, table: CalibrationTable) -> Learned:
    return learn(network, table, SETTING)


def channels_of(network: Network) -> ChannelGraph:
    shapes = blob_shapes(network.param, {INPUT: CROPS[0].shape})
    return channel_graph(network, shapes, (OUTPUT,))


def torch_db(network: Network, parameters: Parameters) -> float:
    """Compare what torch computes with what ncnn makes of it in int8."""
    compute = TorchNetwork.of(torch, network.param, INPUT, CROPS[0].shape, (OUTPUT,))
    with torch.no_grad():
        found = compute(torch.from_numpy(np.stack(CROPS)), *parameters.bound())[0].numpy()
    expected = outputs_on(quantize(*parameters.snapped()), INPUT, (OUTPUT,), CROPS)
    return sqnr_db(expected, [(one,) for one in found])


def int8_db(network: Network, table: CalibrationTable, teacher: Network) -> float:
    """SQNR in ncnn on crops that `learn` never saw."""
    unseen = [crop(np.random.default_rng(seed)) for seed in range(50, 54)]
    reference = outputs_on(teacher, INPUT, (OUTPUT,), unseen)
    return sqnr_db(reference, outputs_on(quantize(network, table), INPUT, (OUTPUT,), unseen))


def integers(network: Network, table: CalibrationTable, name: str) -> NDArray[np.int8]:
    stored = quantize(network, table).weights[name]["weight"]
    return np.asarray(stored).reshape(len(table.weight_scales[name]), -1)


def with_weight(network: Network, name: str, weight: NDArray[np.float32]) -> Network:
    records = {**network.weights[name].records, "weight": Record(weight.reshape(-1), FP32_TAG)}
    return network.replaced({}, {name: LayerWeights(records)})


def test_the_int8_network_errs_less_on_unseen_crops(
    network: Network, table: CalibrationTable, learned: Learned
) -> None:
    before = int8_db(network, table, network)
    assert int8_db(learned.network, learned.table, network) > before + 1


def test_the_report_is_of_what_is_given_back(
    network: Network, table: CalibrationTable, learned: Learned
) -> None:
    reference = outputs_on(network, INPUT, (OUTPUT,), SETTING.held_out)
    for one, wanted in (
        ((network, table), learned.report.before_db),
        ((learned.network, learned.table), learned.report.after_db),
    ):
        found = outputs_on(quantize(*one), INPUT, (OUTPUT,), SETTING.held_out)
        assert sqnr_db(reference, found) == pytest.approx(wanted)
    assert [step for step, _ in learned.report.checks] == [0, 12, 24]
    assert (learned.report.step, learned.report.after_db) in learned.report.checks


def test_the_same_seed_gives_the_same_network(
    network: Network, table: CalibrationTable, learned: Learned
) -> None:
    again = learn(network, table, SETTING)
    assert again.network.sha256 == learned.network.sha256
    assert again.table == learned.table
    assert again.report == learned.report


def test_what_is_worse_is_not_kept(network: Network, table: CalibrationTable) -> None:
    wild = replace(SETTING, steps=2, checks=2, rates=replace(NONE, biases=10))
    kept = learn(network, table, wild)
    assert kept.network is network
    assert kept.table is table
    assert kept.report.step == 0
    assert kept.report.after_db == kept.report.before_db


@pytest.mark.parametrize(
    ("rates", "changed"),
    [
        (replace(NONE, integers=0.3), {"weight"}),
        (replace(NONE, biases=1e-3), {"bias"}),
        (replace(NONE, thresholds=0.01), {"thresholds"}),
        (replace(NONE, scales=0.01), {"weight", "scales"}),
        (replace(NONE, factors=0.01), {"weight", "bias", "scales"}),
    ],
)
def test_each_kind_can_be_learned_alone(
    network: Network, table: CalibrationTable, rates: Rates, changed: set[str]
) -> None:
    parameters = Parameters.of(torch, network, table, channels_of(network))
    start = parameters.snapped()
    with Training(parameters, replace(SETTING, rates=rates), network) as training:
        for number in range(8):
            training.step(number)
    end = parameters.snapped()
    found = {
        role
        for name in table.layers
        for role in ("weight", "bias")
        if (start[0].weights[name][role] != end[0].weights[name][role]).any()
    }
    found |= {"thresholds"} if start[1].activation_scales != end[1].activation_scales else set()
    found |= {"scales"} if start[1].weight_scales != end[1].weight_scales else set()
    assert found == changed


def test_where_learning_begins_is_the_int8_network_as_it_was(
    network: Network, table: CalibrationTable
) -> None:
    start = Parameters.of(torch, network, table).snapped()
    for name in table.layers:
        np.testing.assert_array_equal(integers(*start, name), integers(network, table, name))
        np.testing.assert_allclose(start[1].weight_scales[name], table.weight_scales[name], 1e-4)
        assert start[1].activation_scales[name] == pytest.approx(
            table.activation_scales[name], 1e-4
        )


def test_torch_computes_what_int8_gives_in_ncnn(network: Network, learned: Learned) -> None:
    parameters = Parameters.of(torch, learned.network, learned.table)
    assert torch_db(network, parameters) > learned.report.after_db + 10


def test_factors_of_channels_are_folded_into_the_network(
    network: Network, table: CalibrationTable
) -> None:
    parameters = Parameters.of(torch, network, table, channels_of(network))
    assert parameters.free.sum() > 20
    generator = torch.Generator().manual_seed(0)
    parameters.log_factors.uniform_(-1, 1, generator=generator)
    prepared, scales = parameters.snapped()
    assert torch_db(network, parameters) > 25
    ratio = prepared.weights["stem"]["bias"] / network.weights["stem"]["bias"]
    wanted = parameters.factors.numpy()[channels_of(network).channels("stem")]
    np.testing.assert_allclose(ratio, wanted, rtol=1e-4)
    assert max(np.abs(integers(prepared, scales, name)).max() for name in table.layers) <= 127


def test_the_input_of_the_network_keeps_its_threshold(
    table: CalibrationTable, learned: Learned
) -> None:
    changed = {
        name
        for name in table.layers
        if learned.table.activation_scales[name] != table.activation_scales[name]
    }
    assert changed == set(table.layers) - {"stem"}


def test_layers_that_share_an_int8_blob_keep_one_threshold(network: Network) -> None:
    names = [layer.name for layer in int8_layers(network)]
    table = simple_table(network, CROPS[0], names)
    found = learn(
        network, table, replace(SETTING, steps=4, checks=1, rates=replace(NONE, thresholds=0.01))
    )
    scales = Parameters.of(torch, network, table).layers
    assert scales["left"].log_threshold is scales["right"].log_threshold
    assert found.table.activation_scales["left"] == found.table.activation_scales["right"]


def test_a_layer_in_fp32_is_learned_and_stays_in_fp32(
    network: Network, table: CalibrationTable
) -> None:
    mixed = table.without(["expand"])
    found = learn(network, mixed, SETTING)
    assert found.table.layers == mixed.layers
    before, after = (one.weights["expand"]["weight"] for one in (network, found.network))
    assert (before != after).any()
    np.testing.assert_allclose(before, after, atol=0.1)


def test_sums_stay_within_what_winograd_gets_right() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("first", INPUT, "first", (3, 64))
    net.conv("wide", "first", OUTPUT, (64, 4), kernel=3)
    network = net.build()
    layer = network.param.layer("wide")
    assert may_run_winograd(layer)
    signs = np.sign(network.weights["wide"]["weight"]).reshape(4, -1)
    signs[:, 0] *= 2
    network = with_weight(network, "wide", signs)
    # Sums of 50 a weight are within the bound, sums of 51 beyond it.
    table = replace(simple_table(network, CROPS[0], ["wide"]), weight_scales={"wide": (50.0,) * 4})
    parameters = Parameters.of(torch, network, table)
    start = integers(network, table, "wide")
    grown = parameters.layers["wide"].integers
    grown[1:] += torch.copysign(torch.tensor(1.0), grown[1:])
    state = parameters.snapped()
    found = integers(*state, "wide")
    assert (largest_sums(found) <= MOST_EXACT).all()
    np.testing.assert_array_equal(found[0], start[0])
    assert (largest_sums(found)[1:] > 0.98 * MOST_EXACT).all()
    scales = np.array(state[1].weight_scales["wide"])
    assert scales[0] == pytest.approx(50)
    # The rows that had to shrink have coarser levels, but are as large.
    wanted = grown[1:].numpy() / 50
    np.testing.assert_allclose(found[1:] / scales[1:, None], wanted, atol=0.03)


def test_no_integer_is_larger_than_127(network: Network, table: CalibrationTable) -> None:
    parameters = Parameters.of(torch, network, table)
    parameters.layers["neck"].integers.mul_(1000)
    assert np.abs(integers(*parameters.snapped(), "neck")).max() == 127


def test_a_channel_of_zeros_stays_one(network: Network, table: CalibrationTable) -> None:
    weight = network.weights["expand"]["weight"].reshape(32, -1).copy()
    weight[5] = 0
    found = learn(
        with_weight(network, "expand", weight), table, replace(SETTING, steps=6, checks=1)
    )
    assert np.isfinite(found.report.checks[-1][1])
    parameters = Parameters.of(
        torch, with_weight(network, "expand", weight), table, channels_of(network)
    )
    parameters.log_factors.fill_(0.3)
    state = parameters.snapped()
    assert not integers(*state, "expand")[5].any()


def test_progress_counts_the_steps(network: Network, table: CalibrationTable) -> None:
    told: list[tuple[str, int, int]] = []
    learn(
        network,
        table,
        replace(SETTING, steps=3, progress=lambda *stage: told.append(stage)),
    )
    assert [(done, total) for _, done, total in told] == [(1, 3), (2, 3), (3, 3)]


def test_a_layer_without_a_gradient_is_named(table: CalibrationTable) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("first", INPUT, "first", (3, 4))
    net.add("AbsVal", "odd", ("first",), (OUTPUT,))
    network = net.build()
    with pytest.raises(InputError, match="AbsVal 'odd'"):
        learn(network, simple_table(network, CROPS[0], ["first"]), SETTING)


def test_no_crops_are_refused(network: Network, table: CalibrationTable) -> None:
    with pytest.raises(InputError, match="no crops"):
        learn(network, table, replace(SETTING, held_out=[]))


def test_without_torch_it_says_what_to_install(
    network: Network, table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unavailable, match=r"quantkit\[torch\]"):
        learn(network, table, SETTING)


def test_batches_take_every_crop_once_before_one_again() -> None:
    marked = [np.full((1, 4, 4), number, np.float32) for number in range(5)]
    stream = batches(torch, marked, 2, Augmentation(), seed=0)
    seen = [float(one.mean()) for _ in range(5) for one in next(stream)]
    assert sorted(round(x) for x in seen[:5]) == sorted(round(x) for x in seen[5:]) == [*range(5)]


def test_without_augmentation_crops_stay_and_a_flip_mirrors_them() -> None:
    still = Augmentation(flip=0, turn=0, scale=0, shift=0)
    same = next(batches(torch, CROPS[:1], 1, still, seed=0)).numpy()
    np.testing.assert_allclose(same[0], CROPS[0], atol=1e-4)
    mirrored = next(batches(torch, CROPS[:1], 1, replace(still, flip=1), seed=0)).numpy()
    np.testing.assert_allclose(mirrored[0], CROPS[0][:, :, ::-1], atol=1e-4)


def test_a_turn_keeps_lengths() -> None:
    image = np.zeros((1, 64, 32), np.float32)
    image[0, 32, 8:24] = 1
    turned = next(
        batches(torch, [image], 1, Augmentation(flip=0, turn=30, scale=0, shift=0), seed=3)
    ).numpy()[0, 0]
    rows, columns = np.nonzero(turned > 0.3)
    assert np.hypot(np.ptp(rows), np.ptp(columns)) == pytest.approx(15, abs=2)
    assert np.ptp(rows) > 2
