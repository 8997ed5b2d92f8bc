from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.errors import InputError
from quantkit.quantization import check_table, quantize
from tests.nets import small_network

NETWORK = small_network(np.random.default_rng(0))
RIGHT = "depthwise_param_0 " + "1.0 " * 16 + "\nhead_param_0 " + "2.0 " * 17 + "\n"
RIGHT += "depthwise 3.0 \nhead 4.0 \n"


def test_the_layers_with_both_lines_become_int8() -> None:
    table = parse_table(RIGHT)
    assert [layer.name for layer in check_table(NETWORK, table)] == ["depthwise", "head"]
    without = parse_table(RIGHT.replace("depthwise 3.0 \n", ""))
    assert [layer.name for layer in check_table(NETWORK, without)] == ["head"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "head 4.0",
            "haed 4.0",
            r"t\.table:4: layer 'haed': its activation line is of a layer that is not",
        ),
        (
            "head_param_0",
            "haed_param_0",
            r"t\.table:2: layer 'haed': its weight line is of a layer that is not",
        ),
        ("head 4.0", "pool 4.0", r"t\.table:4: layer 'pool': a Pooling has no weights"),
        ("2.0 \n", "2.0 2.0 \n", r"t\.table:2: layer 'head': has 18 weight scales instead of 17"),
        ("1.0 1.0 ", "1.0 ", r"t\.table:1: layer 'depthwise': has 15 weight scales instead of 16"),
        (
            "head_param_0 " + "2.0 " * 17 + "\n",
            "",
            r"t\.table:3: layer 'head': has no weight line",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(old: str, new: str, message: str) -> None:
    table = parse_table(RIGHT.replace(old, new, 1), Path("t.table"))
    with pytest.raises(InputError, match=message):
        quantize(NETWORK, table)


class _UncheckedTable(CalibrationTable):
    def __post_init__(self) -> None:
        """Let everything pass."""


@pytest.mark.parametrize(
    ("weight", "activation", "message"),
    [
        (np.inf, 1.0, "layer 'head': weight scale 3 is inf"),
        (np.nan, 1.0, "layer 'head': weight scale 3 is nan"),
        (1.0, np.inf, "layer 'head': its activation scale is inf"),
    ],
)
def test_scales_that_are_not_finite_are_refused(
    weight: float, activation: float, message: str
) -> None:
    scales = (1.0,) * 3 + (weight,) + (1.0,) * 13
    with pytest.raises(InputError, match=message):
        check_table(NETWORK, _UncheckedTable({"head": scales}, {"head": activation}))


def test_a_layer_that_is_int8_already_is_refused() -> None:
    table = parse_table(RIGHT)
    with pytest.raises(InputError, match="layer 'depthwise': is int8 in the network already"):
        quantize(quantize(NETWORK, table), table)
