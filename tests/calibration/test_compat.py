import numpy as np
import pytest

from quantkit.calibration.compat import (
    aciq_weight_scales,
    calibrate_as_ncnn2table,
    collect_as_ncnn2table,
)
from quantkit.model.param import Layer
from tests.nets import INPUT, NetBuilder, crop, small_network


def test_aciq_clips_weights_by_their_number_and_six_bits() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 8, 3, 3)).astype(np.float32)
    params = {0: "4", 1: "3", 6: str(weights.size)}
    scales = aciq_weight_scales(Layer("Convolution", "c", ("a",), ("b",), params), weights)
    spread = 2 * 0.175 * (1 + np.sqrt(np.pi * np.log(4))) / np.sqrt(2 * np.log(72))
    absmax = np.abs(weights).max(axis=(1, 2, 3))
    assert np.allclose(scales, 31 / (3.28691474 * spread * absmax), rtol=1e-6)
    strided = Layer("Convolution", "c", ("a",), ("b",), {**params, 3: "2"})
    scales = aciq_weight_scales(strided, weights)
    assert np.allclose(scales, 127 / (3.92403714 * spread * absmax), rtol=1e-6)


def test_a_dead_channel_has_a_finite_scale() -> None:
    layer = Layer("InnerProduct", "fc", ("a",), ("b",), {0: "2"})
    live, dead = aciq_weight_scales(layer, np.array([0.5, 0.25, 0, 0], np.float32))
    assert (live > 0, dead) == (True, 1.0)


def test_an_input_of_one_value_is_named_in_aciq() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", INPUT, "a", (3, 1))
    net.add("Pooling", "pool", ["a"], ["b"], {0: 1, 4: 1})
    net.add("InnerProduct", "fc", ["b"], ["out"], {0: 2, 1: 1, 2: 2})
    network = net.build()
    tensors = [crop(np.random.default_rng(1))]
    statistics = collect_as_ncnn2table(network, INPUT, lambda: tensors, "aciq")
    found = calibrate_as_ncnn2table(network, statistics, "aciq")
    assert list(found.notes) == ["fc"]
    assert "one value" in found.notes["fc"]
    assert found.table.activation_scales["fc"] == pytest.approx(127 / statistics["fc"].absmax)


def test_all_layers_have_scales_and_both_methods_differ() -> None:
    network = small_network(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    tensors = [crop(rng) for _ in range(2)]
    tables = []
    for method in ("kl", "aciq"):
        statistics = collect_as_ncnn2table(network, INPUT, lambda: tensors, method)
        tables.append(calibrate_as_ncnn2table(network, statistics, method).table)
    kl, aciq = tables
    assert kl.layers == aciq.layers
    assert all(kl.weight_scales[name] != aciq.weight_scales[name] for name in kl.layers)
