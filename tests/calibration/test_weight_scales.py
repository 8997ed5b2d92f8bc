import numpy as np
import pytest

from quantkit.calibration.weight_scales import ncnn2table_levels, scale_count, weight_scales
from quantkit.errors import InputError
from quantkit.model.param import Layer


def layer(kind: str, params: dict[int, str]) -> Layer:
    return Layer(kind, "conv", ("in",), ("out",), params)


@pytest.mark.parametrize(
    ("kind", "params", "levels"),
    [
        ("Convolution", {1: "3"}, 31),
        ("Convolution", {1: "3", 11: "3", 2: "1", 12: "1", 3: "1", 13: "1"}, 31),
        ("Convolution", {1: "3", 4: "1", 9: "1"}, 31),
        ("Convolution", {1: "1"}, 127),
        ("Convolution", {1: "5"}, 127),
        ("Convolution", {1: "3", 11: "1"}, 127),
        ("Convolution", {1: "3", 3: "2"}, 127),
        ("Convolution", {1: "3", 13: "2"}, 127),
        ("Convolution", {1: "3", 2: "2"}, 127),
        ("Convolution", {1: "3", 12: "2"}, 127),
        ("ConvolutionDepthWise", {1: "3", 7: "4"}, 127),
        ("InnerProduct", {}, 127),
    ],
)
def test_ncnn2table_gives_six_bits_to_plain_3x3_convolutions_only(
    kind: str, params: dict[int, str], levels: int
) -> None:
    assert ncnn2table_levels(layer(kind, params)) == levels


def test_a_depthwise_layer_has_a_scale_for_each_group() -> None:
    depthwise = layer("ConvolutionDepthWise", {0: "4", 1: "1", 7: "2"})
    assert scale_count(depthwise) == 2
    weights = np.array([1.0, -2.0, 0.5, 0.25], np.float32)
    assert weight_scales(depthwise, weights).scales == (63.5, 254.0)


def test_a_scale_is_one_float32_division() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(50, 9)).astype(np.float32)
    conv = layer("Convolution", {0: "50", 1: "3"})
    found = weight_scales(conv, weights.ravel(), rule="ncnn2table")
    for row, scale in zip(weights, found.scales, strict=True):
        largest = np.float32(0)
        for weight in row:
            largest = max(largest, np.abs(weight))
        assert scale == float(np.float32(31) / largest)


def test_channels_without_weights_get_a_finite_scale_and_are_named() -> None:
    weights = np.array([0.0, -0.0, 1.0, 1e-40], np.float32)
    found = weight_scales(layer("InnerProduct", {0: "4"}), weights)
    assert found.scales == (1.0, 1.0, 127.0, 1.0)
    assert found.dead == (0, 1, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_names_layer_and_channel(bad: float) -> None:
    weights = np.array([1.0, 1.0, bad, 1.0], np.float32)
    with pytest.raises(InputError, match="InnerProduct 'conv': output channel 1 has a NaN"):
        weight_scales(layer("InnerProduct", {0: "2"}), weights)
