"""What equalization promises: the same outputs, less noise in int8, and a true report."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.weights import FP16_TAG, LayerWeights, Record, parse_weights
from quantkit.quantization.int8 import quantize
from quantkit.tuning.equalization import Equalized, channel_ranges, equalize
from quantkit.tuning.equalization.channel_graph import channel_graph
from quantkit.tuning.equalization.equalize import Clips
from quantkit.tuning.equalization.factors import least_noise
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.equalization.noise import LayerNoise, layer_noises
from quantkit.tuning.equalization.ranges import equalization_blobs
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs, sqnr_db
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network
from tests.tuning.equalized_nets import EXACT_DB, far_factors

SHAPE = (3, 64, 48)
CROPS = [crop(np.random.default_rng(seed)) for seed in range(6)]
HELD_OUT = [crop(np.random.default_rng(seed)) for seed in range(6, 10)]


def _shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    return blob_shapes(network.param, {INPUT: SHAPE})


def _uneven(network: Network) -> Network:
    """The same function with channels of very different size."""
    graph = channel_graph(network, _shapes(network), (OUTPUT,))
    return folded(network, graph, far_factors(graph))


def _equalized(
    network: Network, clips: Clips = "frozen", *, exact: bool = False, steps: int = 60
) -> Equalized:
    ranges = channel_ranges(network, INPUT, CROPS)
    return equalize(
        network, _shapes(network), (OUTPUT,), ranges, clips=clips, exact=exact, steps=steps
    )


def _run(network: Network, crops: Sequence[NDArray[np.float32]] = HELD_OUT) -> list[Outputs]:
    return outputs_on(network, INPUT, (OUTPUT,), crops)


def _int8_db(network: Network, reference: Network) -> float:
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect(network, INPUT, lambda: CROPS, names)
    quantized = quantize(network, calibrate(network, statistics, "minmax").table)
    return sqnr_db(_run(reference), _run(quantized))


@pytest.fixture(scope="module")
def uneven() -> Network:
    return _uneven(small_network(np.random.default_rng(0)))


def _clipped(rng: np.random.Generator, upper: float = 6.0) -> Network:
    """Convolutions with fused and standing clips, some of whose channels reach them."""
    net = NetBuilder(rng)
    clip: dict[int, int | str] = {9: 3, -23310: f"2,0.0,{upper}"}
    net.add("Convolution", "first", (INPUT,), ("first",), {0: 12, 1: 1, 5: 1, 6: 36, **clip})
    net.conv("second", "first", "second", (12, 12))
    net.add("Clip", "clip", ("second",), ("clipped",), {0: f"-{upper}", 1: f"{upper}"})
    net.conv("last", "clipped", OUTPUT, (12, 5))
    return net.build()


def test_the_outputs_stay_and_int8_gets_better(uneven: Network) -> None:
    found = _equalized(uneven)
    assert sqnr_db(_run(uneven), _run(found.network)) >= EXACT_DB
    assert _int8_db(found.network, uneven) > _int8_db(uneven, uneven) + 6


def test_exact_factors_change_no_bit(uneven: Network) -> None:
    found = _equalized(uneven, exact=True)
    assert sqnr_db(_run(uneven), _run(found.network)) == np.inf
    assert {float(np.log2(x)) % 1 for row in found.factors.values() for x in row} == {0.0}


def test_the_factors_are_those_by_which_the_blobs_differ(uneven: Network) -> None:
    found = _equalized(uneven)
    blobs = list(found.factors)
    assert "neck" in blobs
    with (
        NcnnNet.of(uneven, INPUT) as old,
        NcnnNet.of(found.network, INPUT) as new,
    ):
        before, after = old.run_blobs(HELD_OUT[0], blobs), new.run_blobs(HELD_OUT[0], blobs)
    for blob, factors in found.factors.items():
        rows = before[blob].reshape(len(factors), -1) * factors[:, None]
        other = after[blob].reshape(len(factors), -1)
        np.testing.assert_allclose(other, rows, rtol=1e-3, atol=1e-4 * np.abs(rows).max())


def test_the_report_counts_channels_and_tells_reasons(uneven: Network) -> None:
    report = _equalized(uneven).report
    assert report.channels == report.free + sum(report.frozen.values())
    assert report.frozen == {"network input": 3}
    worst = max(report.blobs, key=lambda one: one.before)
    assert worst.after < worst.before / 2
    assert f"{report.free} of {report.channels} channels" in report.text()
    assert worst.blob in report.text()


def test_half_precision_records_become_fp32_where_they_are_scaled(uneven: Network) -> None:
    weights = {
        name: LayerWeights(
            {
                role: record
                if record.tag is None
                else Record(record.stored.astype(np.float16), FP16_TAG)
                for role, record in one.records.items()
            }
        )
        for name, one in uneven.weights.items()
    }
    halves = uneven.replaced({}, weights)
    found = _equalized(halves).network
    assert found.weights["residual"].records["weight"].stored.dtype == np.float32
    assert sqnr_db(_run(halves), _run(found)) >= EXACT_DB
    again = parse_weights(found.param, found.bin_bytes())
    for name, one in found.weights.items():
        for role, values in one.items():
            np.testing.assert_array_equal(again[name][role], values)


def test_a_dead_channel_gets_a_finite_factor() -> None:
    network = small_network(np.random.default_rng(1))
    records = dict(network.weights["expand"].records)
    weight, bias = records["weight"].stored.copy(), records["bias"].stored.copy()
    weight.reshape(32, -1)[5], bias[5] = 0, 0
    dead = {"weight": Record(weight, records["weight"].tag), "bias": Record(bias)}
    network = network.replaced({}, {"expand": LayerWeights({**records, **dead})})
    found = _equalized(network)
    assert all(np.isfinite(x).all() and (x > 0).all() for x in found.factors.values())
    assert sqnr_db(_run(network), _run(found.network)) >= EXACT_DB


def test_clips_freeze_their_channels_unless_asked() -> None:
    report = _equalized(_clipped(np.random.default_rng(0))).report
    assert report.frozen == {"clip": 24, "network input": 3}


def test_channels_below_a_clip_are_scaled_within_it() -> None:
    network = _clipped(np.random.default_rng(0), upper=4.0)
    found = _equalized(network, clips="calibrated")
    assert 0 < found.report.frozen["clip that is reached"] < 24
    assert found.report.free > 0
    assert max(x.max() for x in found.factors.values()) > 1.2
    assert sqnr_db(_run(network, CROPS), _run(found.network, CROPS)) >= EXACT_DB


def test_a_named_inner_output_is_left_alone(uneven: Network) -> None:
    ranges = channel_ranges(uneven, INPUT, CROPS)
    found = equalize(uneven, _shapes(uneven), (OUTPUT, "neck"), ranges)
    with (
        NcnnNet.of(uneven, INPUT, ("neck",)) as old,
        NcnnNet.of(found.network, INPUT, ("neck",)) as new,
    ):
        assert sqnr_db([old.run(CROPS[0])], [new.run(CROPS[0])]) >= EXACT_DB


def _noises(network: Network) -> list[LayerNoise]:
    graph = channel_graph(network, _shapes(network), (OUTPUT,))
    return list(layer_noises(network, graph, channel_ranges(network, INPUT, CROPS)))


def test_the_gradient_of_the_noise_is_its_slope(uneven: Network) -> None:
    rng = np.random.default_rng(3)
    for layer in _noises(uneven):
        logs = rng.normal(0, 0.5, layer.classes.shape)
        step = rng.normal(0, 1, layer.classes.shape)
        _, gradient = layer.log_noise(logs)
        ends = [layer.log_noise(logs + sign * 1e-5 * step)[0] for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx((gradient * step).sum(), rel=1e-4)


def test_a_depthwise_layer_pays_nothing_for_its_weights(uneven: Network) -> None:
    network = small_network(np.random.default_rng(0))
    names = [layer.name for layer in int8_layers(network)]
    layer = _noises(network)[names.index("depthwise")]
    equal = -np.log(layer.ranges)
    assert layer.log_noise(equal)[0] < layer.log_noise(np.zeros(equal.shape))[0]
    tilt = np.linspace(-1, 1, equal.size).reshape(equal.shape)
    assert layer.log_noise(equal)[0] <= layer.log_noise(equal + tilt)[0]


def test_the_search_lowers_the_noise_that_equal_ranges_leave(uneven: Network) -> None:
    graph = channel_graph(uneven, _shapes(uneven), (OUTPUT,))
    ranges = channel_ranges(uneven, INPUT, CROPS)
    layers = layer_noises(uneven, graph, ranges)

    def total(steps: int) -> float:
        logs = np.log(least_noise(graph, ranges, layers, steps=steps))
        return sum(layer.log_noise(logs[layer.classes])[0] for layer in layers)

    untouched = sum(layer.log_noise(np.zeros(layer.classes.shape))[0] for layer in layers)
    assert total(60) < total(0) < untouched


def test_ranges_are_those_of_numpy(uneven: Network) -> None:
    found = channel_ranges(uneven, INPUT, iter(CROPS), ["neck", "squeezed"], threads=2)
    with NcnnNet.of(uneven, INPUT, ("neck",)) as net:
        values = np.stack([np.abs(net.run(one)[0]) for one in CROPS])
    neck = found["neck"]
    np.testing.assert_allclose(neck.absmax, values.max(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(neck.typical, values.max(axis=(2, 3)).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(neck.power, np.square(values).mean(axis=(0, 2, 3)), rtol=1e-5)
    assert neck.shape == values.shape[1:]
    assert found["squeezed"].shape == (32,)


def test_ranges_need_crops(uneven: Network) -> None:
    with pytest.raises(InputError, match="no crops"):
        channel_ranges(uneven, INPUT, [])


def test_a_blob_that_is_not_finite_is_named() -> None:
    bad = np.full(SHAPE, np.inf, np.float32)
    with pytest.raises(InputError, match=f"blob '{INPUT}' has a NaN or infinite value"):
        channel_ranges(small_network(np.random.default_rng(0)), INPUT, [bad])


def test_the_blobs_that_are_measured_are_read_made_or_clipped() -> None:
    blobs = equalization_blobs(_clipped(np.random.default_rng(0)))
    assert blobs == (INPUT, "first", "clipped", "second", OUTPUT)
