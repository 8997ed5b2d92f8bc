import math

import numpy as np
import pytest

from quantkit.calibration.table import CalibrationTable
from quantkit.model.macs import macs, total_macs
from quantkit.model.shapes import blob_shapes
from quantkit.quantization.table_diff import diff_tables
from quantkit.quantization.table_rows import table_rows
from tests.nets import INPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import simple_table

NETWORK = small_network(np.random.default_rng(0))
SHAPES = blob_shapes(NETWORK.param, {INPUT: (3, 64, 48)})


@pytest.fixture(scope="module")
def table() -> CalibrationTable:
    return simple_table(NETWORK, crop(np.random.default_rng(1)), ("stem", "residual", "head"))


def test_a_row_tells_what_a_layer_becomes(table: CalibrationTable) -> None:
    rows = {row.layer: row for row in table_rows(table, NETWORK, SHAPES)}
    stem, layer = rows["stem"], NETWORK.param.layer("stem")
    assert stem.threshold == pytest.approx(127 / table.activation_scales["stem"])
    assert stem.weight_scales == (
        min(table.weight_scales["stem"]),
        max(table.weight_scales["stem"]),
    )
    assert (stem.type, stem.levels, stem.bits, stem.reason) == (
        "Convolution",
        (127, 127),
        "8",
        None,
    )
    share = macs(layer, SHAPES) / total_macs(NETWORK.param.layers, SHAPES)
    assert stem.macs_share == pytest.approx(share)
    assert sum(row.macs_share or 0 for row in rows.values()) == pytest.approx(1)


def test_fewer_levels_are_fewer_bits(table: CalibrationTable) -> None:
    halved = tuple(
        x * (31 if i % 2 else 63) / 127 for i, x in enumerate(table.weight_scales["head"])
    )
    weights = {**table.weight_scales, "head": halved}
    rows = table_rows(CalibrationTable(weights, table.activation_scales), NETWORK)
    head = next(row for row in rows if row.layer == "head")
    assert (head.levels, head.bits, head.macs_share) == ((31, 63), "6 to 7", None)


def test_what_stays_in_fp32_says_why(table: CalibrationTable) -> None:
    half = CalibrationTable(table.weight_scales, {"stem": 1.0, "head": 1.0})
    rows = table_rows(half, NETWORK, left_out={"neck": "it is a hazard"})
    reasons = {row.layer: row.reason for row in rows if row.reason}
    assert reasons["neck"] == "it is a hazard"
    assert reasons["left"] == "it is not in the table"
    assert reasons["residual"] == "it has only one of its two lines"
    assert len(reasons) == 8


def test_a_gemm_has_a_row_although_no_table_has_lines_for_it(table: CalibrationTable) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "a", (3, 4))
    params: dict[int, int | str] = {3: 1, 5: 1, 6: 1, 8: 4, 9: 48, 10: 4}
    net.add("Gemm", "gemm", ("a",), ("b",), params)
    rows = table_rows(CalibrationTable({}, {}), net.build())
    assert [(row.layer, row.type) for row in rows] == [("conv", "Convolution"), ("gemm", "Gemm")]
    assert rows[1].reason is not None
    assert rows[1].reason.startswith("quantkit leaves layers of type Gemm in fp32")


def test_without_a_network_the_table_itself_is_shown(table: CalibrationTable) -> None:
    rows = table_rows(table, left_out={"other": "it is a hazard"})
    assert [row.layer for row in rows] == ["stem", "residual", "head", "other"]
    assert all(row.type is None and row.bits == "" for row in rows)


def test_equal_tables_have_no_difference(table: CalibrationTable) -> None:
    found = diff_tables(table, table)
    assert (found.changes, found.only_first, found.only_second, found.same) == ((), (), (), 3)


def test_differences_are_sorted_by_their_size(table: CalibrationTable) -> None:
    activations = dict(table.activation_scales)
    activations["stem"] *= 2
    activations["head"] /= 3
    weights = dict(table.weight_scales)
    weights["stem"] = (weights["stem"][0] * 1.5, *weights["stem"][1:-1], weights["stem"][-1] * 0.9)
    found = diff_tables(table, CalibrationTable(weights, activations))
    assert [(x.layer, x.kind) for x in found.changes] == [
        ("head", "activation"),
        ("stem", "activation"),
        ("stem", "weight"),
    ]
    assert [x.ratio for x in found.changes] == pytest.approx([1 / 3, 2, 1.5])
    assert [(x.channels, x.of) for x in found.changes] == [(1, 1), (1, 1), (2, 16)]
    assert found.same == 1


def test_layers_of_one_table_and_other_counts_are_named(table: CalibrationTable) -> None:
    weights = {**table.without(["head"]).weight_scales, "stem": (1.0,), "new": (1.0,)}
    other = CalibrationTable(weights, {"stem": 1.0, "residual": 1.0, "new": 1.0})
    found = diff_tables(table, other)
    assert (found.only_first, found.only_second) == (("head",), ("new",))
    assert found.other_counts == ("stem",)
    assert [change.layer for change in found.changes] == ["residual"]


def test_zero_scales_of_channels_without_weights_are_compared() -> None:
    a = CalibrationTable({"c": (2.0, 0.0)}, {"c": 1.0})
    b = CalibrationTable({"c": (2.0, 1.0)}, {"c": 1.0})
    for first, second, ratio in ((a, b, None), (b, a, 0.0)):
        (change,) = diff_tables(first, second).changes
        assert (change.ratio, change.size, change.channels) == (ratio, math.inf, 1)
    assert diff_tables(a, a).changes == ()
