"""Weight scales against the weights, activation scales against the values that are read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.compat import (
    CompatMethod,
    calibrate_as_ncnn2table,
    collect_as_ncnn2table,
)
from quantkit.calibration.finding import Finding
from quantkit.calibration.methods import METHODS
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_scales import ncnn2table_levels, scale_count
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.param import read_param
from quantkit.model.weights import LayerWeights, Record, read_weights
from quantkit.quantization.lint_ranges import Ranges
from quantkit.quantization.table_lint import fitting_table, lint_table
from tests.nets import INPUT, crop, small_network
from tests.quantization.agreement import simple_table

NETWORK = small_network(np.random.default_rng(0))
NAMES = [layer.name for layer in int8_layers(NETWORK)]
TABLE = simple_table(NETWORK, crop(np.random.default_rng(1)), NAMES)
ABSMAX = {name: 127 / scale for name, scale in TABLE.activation_scales.items()}
RANGES = Ranges(ABSMAX, "in 4 crops")


def largest(name: str) -> list[float]:
    rows = NETWORK.weights[name]["weight"].reshape(scale_count(NETWORK.param.layer(name)), -1)
    return [float(x) for x in np.abs(rows).max(axis=1)]


def with_weights(name: str, scales: list[float] | tuple[float, ...]) -> str:
    return replace(TABLE, weight_scales={**TABLE.weight_scales, name: tuple(scales)}).text()


def serious(text: str, network: Network = NETWORK, ranges: Ranges | None = None) -> list[Finding]:
    found = lint_table(text, network, ranges=ranges)
    return [
        x
        for x in found
        if x.severity != "hint" and "Winograd" not in x.message and "same blob" not in x.message
    ]


@pytest.mark.parametrize("factor", [0.001, 1 / 127, 0.01, 0.1, 10, 127, 1000])
@pytest.mark.parametrize("name", ["stem", "depthwise", "residual", "excite"])
def test_a_wrong_factor_of_a_layers_scales_is_found_with_the_right_value(
    name: str, factor: float
) -> None:
    text = with_weights(name, [factor * x for x in TABLE.weight_scales[name]])
    (found,) = serious(text)
    assert found.layer == name
    assert found.severity == ("warning" if factor == 0.1 else "error")
    full = ncnn2table_levels(NETWORK.param.layer(name))
    assert f"put {full / largest(name)[0]:.6f} at 0" in found.fix
    number = len(TABLE.weight_scales[name])
    assert f"{number} of {number} weight scales are far too" in found.message
    if factor < 1 / 254:
        assert "all weights of the layer become zero" in found.message


def test_forgotten_factors_and_step_sizes_are_named() -> None:
    name = "head"
    forgotten = serious(with_weights(name, [1 / x for x in largest(name)]))[0]
    assert "the factor 127 is missing" in forgotten.message
    steps = serious(with_weights(name, [x / 127 for x in largest(name)]))[0]
    assert "they look like the step size" in steps.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1e-3", "1 of 17 weight scales are far too small: all weights of their channels become"),
        ("0.000000", "scale 3 is zero where there are weights, which erases the channel"),
        ("inf", "scale 3 is inf, which is not finite"),
        ("nan", "scale 3 is nan, which is not finite"),
        ("1e5", "1 of 17 weight scales are far too large, which cuts weights to 1/"),
    ],
)
def test_one_channel_is_found_with_its_value(value: str, message: str, tmp_path: Path) -> None:
    words = ["head_param_0", *(f"{x:f}" for x in TABLE.weight_scales["head"])]
    words[4] = value
    lines = [x for x in TABLE.text().splitlines() if not x.startswith("head_param_0")]
    path = tmp_path / "t.table"
    path.write_text("\n".join([" ".join(words), *lines]) + "\n")
    (found,) = serious(path.read_text())
    assert (found.severity, found.layer, found.line) == ("error", "head", 1)
    assert message in found.message
    assert f"put {127 / largest('head')[3]:.6f} at 3" in found.fix
    with pytest.raises(InputError, match=r"t\.table:1: layer 'head'"):
        fitting_table(path, NETWORK)


@pytest.mark.parametrize("value", ["0.000000", "inf"])
def test_the_advice_looks_at_the_weights(value: str, tmp_path: Path) -> None:
    weights = NETWORK.weights["head"]
    values = weights["weight"].reshape(17, -1).copy()
    values[3] = 0
    records = {**weights.records, "weight": Record(values.reshape(-1), 0)}
    network = NETWORK.replaced({}, {"head": LayerWeights(records)})
    first = f"{TABLE.weight_scales['head'][3]:f}"
    path = tmp_path / "t.table"
    path.write_text(TABLE.text().replace(first, value))
    found = serious(path.read_text(), network)
    if value == "inf":
        assert "put 1.000000 at 3, where all weights are zero" in found[0].fix
        return
    assert found == []
    assert fitting_table(path, network).weight_scales["head"][3] == 0
    (told,) = (x for x in lint_table(path.read_text()) if x.severity == "warning")
    assert "is zero, as only a channel without weights may" in told.message


@pytest.mark.parametrize("method", METHODS)
def test_tables_of_every_method_have_no_finding(method: str) -> None:
    crops = [crop(np.random.default_rng(k)) for k in range(4)]
    statistics = collect_streaming(NETWORK, INPUT, iter(crops), NAMES, total=4)
    found = calibrate(NETWORK, statistics, method, keep_hazards=True)
    few = collect_streaming(NETWORK, INPUT, iter(crops[:1]), NAMES, total=1)
    ranges = Ranges({name: one.absmax for name, one in few.items()}, "in 1 crop")
    assert serious(found.table.text(), ranges=ranges) == []


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("method", ["kl", "aciq"])
def test_ncnn2tables_own_scales_have_no_finding(method: CompatMethod, factor: float) -> None:
    crops = [crop(np.random.default_rng(k)) for k in range(2)]
    statistics = collect_as_ncnn2table(NETWORK, INPUT, lambda: iter(crops), method, total=2)
    table = calibrate_as_ncnn2table(NETWORK, statistics, method).table
    if method == "kl":  # ncnn2table's `eq` starts there and takes half to twice of it.
        table = CalibrationTable(
            {k: tuple(factor * x for x in v) for k, v in table.weight_scales.items()},
            {k: factor * v for k, v in table.activation_scales.items()},
        )
    ranges = Ranges({name: one.absmax for name, one in statistics.items()}, "in 2 crops")
    assert serious(table.text(), ranges=ranges) == []


@pytest.mark.parametrize(
    ("scale", "severity", "message"),
    [
        (1 / ABSMAX["head"], "error", "127 times the largest value"),
        (1 / ABSMAX["head"], "error", "it looks like 1 / threshold: the factor 127 is missing"),
        (ABSMAX["head"] / 127, "error", "it looks like the step size, which is 1 / scale"),
        (127 / ABSMAX["head"] / 20, "warning", "leaves 6.4 of 127 levels"),
        (127 / ABSMAX["head"] * 100, "warning", "cuts values to 0.01 of the largest"),
        (127 / ABSMAX["head"] * 1000, "error", "cuts values to 0.001 of the largest"),
    ],
)
def test_a_threshold_far_from_the_values_is_found_with_the_right_scale(
    scale: float, severity: str, message: str
) -> None:
    scales = {**TABLE.activation_scales, "head": scale}
    (found,) = serious(replace(TABLE, activation_scales=scales).text(), ranges=RANGES)
    assert (found.severity, found.layer) == (severity, "head")
    assert message in found.message
    assert f"put {127 / ABSMAX['head']:.6f} there" in found.fix
    assert serious(TABLE.text(), ranges=RANGES) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small_96x96", "simplepose_256x192", "attention_64x48"])
def test_golden_tables_have_no_finding_with_the_ranges_of_one_crop(golden: Path, name: str) -> None:
    folder = golden / name
    param = read_param(folder / "fp32.param")
    network = Network(param, read_weights(param, folder / "fp32.bin"))
    first = np.load(sorted((folder / "inputs").glob("*.npy"))[0])
    names = [layer.name for layer in int8_layers(network)]
    few = collect_streaming(network, param.layers[0].tops[0], iter([first]), names, total=1)
    ranges = Ranges({k: one.absmax for k, one in few.items()}, "in 1 crop")
    for table in sorted(folder.glob("*.table")):
        assert serious(table.read_text(), network, ranges) == []
