from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.calibration.table import CalibrationTable, parse_table, printed, read_table
from quantkit.errors import InputError

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=40
).filter(lambda name: not name.startswith("#") and "_param_" not in name and not name.isspace())
SCALES = st.floats(1e-6, 1e30).map(printed)
TABLES = st.dictionaries(
    NAMES,
    st.tuples(st.lists(SCALES, min_size=1, max_size=4).map(tuple), SCALES),
    min_size=1,
    max_size=5,
).map(
    lambda layers: CalibrationTable(
        {name: weights for name, (weights, _) in layers.items()},
        {name: scale for name, (_, scale) in layers.items()},
    )
)


@given(TABLES)
def test_a_table_survives_its_text_form(table: CalibrationTable) -> None:
    back = parse_table(table.text())
    assert back == table
    assert list(back.weight_scales) == list(table.weight_scales)
    assert back.text() == table.text()


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_an_input_error(text: str) -> None:
    try:
        table = parse_table(text)
    except InputError:
        return
    assert parse_table(table.text()) == table


@pytest.mark.parametrize("net", ["small_96x96", "simplepose_256x192", "tinypose_256x192"])
@pytest.mark.parametrize("name", ["kl", "aciq", "mixed"])
def test_ncnn2tables_files_are_written_back_to_the_byte(golden: Path, net: str, name: str) -> None:
    path = golden / net / f"{name}.table"
    assert read_table(path).text().encode() == path.read_bytes()


def test_weight_lines_come_before_all_activation_lines() -> None:
    table = parse_table("a_param_0 1.5 2.5 \na 3.25 \nb_param_0 4.0 \nb 5.0 \n")
    assert table.text() == (
        "a_param_0 1.500000 2.500000 \nb_param_0 4.000000 \na 3.250000 \nb 5.000000 \n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "blank line"),
        ("   ", "blank line"),
        ("conv", "expected a name and its scales"),
        ("conv_param_0", "expected a name and its scales"),
        ("conv 1.0 2.0", "has 2 scales, expected 1"),
        ("conv x", "'x' is not a number"),
        ("conv 1_0", "'1_0' is not a number"),
        ("conv 0x10", "'0x10' is not a number"),
        ("conv ٣", "'٣' is not a number"),
        ("conv_param_0 1.0 inf", "the scale is inf.*put 1.000000 there"),
        ("conv nan", "the scale is nan"),
        ("conv -nan(ind)", "the scale is -nan"),
        ("conv 1e39", "not a finite float32"),
        ("conv 1e999", "not a finite float32"),
        ("conv 0.0000001", "written as 0.000000"),
        ("conv 0.000000", "written as 0.000000"),
        ("conv -3.0", "not positive"),
        ("first_param_0 1.0", "stands in line 1 already"),
        ("a_param_b 1.0", "contains '_param_'"),
        ("a_param_1 1.0 2.0", "has 2 scales"),
        ("a_param_1 1.0", "layer type that is not quantized"),
        ("_param_0 1.0", "empty"),
        ("x" * 255 + " 1.0", "at most 255"),
    ],
)
def test_a_malformed_line_is_named_with_its_place(line: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^some.table:2: .*{message}") as caught:
        parse_table(f"first_param_0 1.0 \n{line}\nfirst 1.0 \n", Path("some.table"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "#a 1.0 \n", "#"])
def test_a_table_without_scales_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^some\.table: holds no scales"):
        parse_table(text, Path("some.table"))


def test_a_key_of_255_characters_is_the_longest() -> None:
    name = "x" * (255 - len("_param_0"))
    assert parse_table(f"{name}_param_0 1.0 \n").weight_scales == {name: (1.0,)}


def test_commented_lines_count_as_absent() -> None:
    table = parse_table("#a_param_0 1.0 \nb_param_0 2.0 \n#a 1.0 \nb 3.0 \n")
    assert table.layers == ("b",)


def test_without_and_only_take_both_lines_of_a_layer() -> None:
    table = parse_table("a_param_0 1.0 \nb_param_0 2.0 \na 3.0 \nb 4.0 \n")
    assert table.without(["a"]).text() == "b_param_0 2.000000 \nb 4.000000 \n"
    assert table.only(["a"]).text() == "a_param_0 1.000000 \na 3.000000 \n"
    assert table.without([]) == table == table.only(["b", "a"])


@pytest.mark.parametrize("method", ["without", "only"])
def test_an_unknown_layer_is_refused(method: str) -> None:
    table = parse_table("a_param_0 1.0 \na 3.0 \n", Path("some.table"))
    with pytest.raises(InputError, match=r"some\.table: layer 'c' is not in the table"):
        getattr(table, method)(["a", "c"])


def test_a_layer_without_its_activation_line_stays_fp32() -> None:
    assert parse_table("a_param_0 1.0 \nb_param_0 1.0 \nb 2.0 \n").layers == ("b",)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), 1e-7])
def test_a_table_cannot_be_made_with_a_scale_it_cannot_hold(scale: float) -> None:
    with pytest.raises(InputError):
        CalibrationTable({"a": (1.0,)}, {"a": scale})
    with pytest.raises(InputError):
        CalibrationTable({"a": (1.0, scale)}, {"a": 1.0})
