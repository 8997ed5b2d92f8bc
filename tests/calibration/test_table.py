from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.calibration.table import CalibrationTable, parse_table, read_table
from quantkit.calibration.table_lines import printed
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
        ("conv", "no scales follow the name"),
        ("conv_param_0", "no scales follow the name"),
        ("conv 1.0 2.0", "has 2 activation scales instead of 1"),
        ("conv x", "'x', which is not a number"),
        ("conv 1_0", "'1_0', which is not a number"),
        ("conv 0x10", "'0x10', which is not a number"),
        ("conv ٣", "'٣', which is not a number"),
        (
            "conv_param_0 1.0 inf",
            "is inf, which is not finite; put 1.000000 there if all .* else 127",
        ),
        ("conv nan", "is nan, which is not finite"),
        ("conv -nan(ind)", r"is -nan\(ind\), which is not finite"),
        ("conv 1e39", "which is not finite"),
        ("conv 1e999", "which is not finite"),
        ("conv 0.0000001", "is zero, or too small"),
        ("conv 0.000000", "is zero, or too small"),
        ("conv -3.0", "which is negative"),
        ("first_param_0 2.0", "stands in line 1 already with other scales"),
        ("a_param_b 1.0", "contains '_param_'"),
        ("a_param_10 1.0", "contains '_param_'"),
        ("_param_0 1.0", "contains '_param_'"),
        ("conv\t1.0", "has a tab, behind which ncnn2int8 drops a word"),
        ("conv 1.0 \t", "has a tab by itself"),
        ("\t", "has a tab by itself"),
        ("conv\u00a01.0", "has a space"),
        ("conv 1.0\rother 2.0", "what ncnn2int8 cuts off"),
        ("conv 1.0\x00 2.0", "what ncnn2int8 cuts off"),
        ("conv 1,5", "'1,5', which is not a number"),
        ("conv \ufffd", "not UTF-8 text"),
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
    text = f"{name}_param_0 1.0 \n{name} 2.0 \n"
    assert parse_table(text).weight_scales == {name: (1.0,)}


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
    if scale:  # A channel without weights may have a weight scale of zero.
        with pytest.raises(InputError):
            CalibrationTable({"a": (1.0, scale)}, {"a": 1.0})


READ = "a_param_0 1.5 2.5 \nb_param_0 4.0 \na 3.25 \nb 5.0 \n"


@pytest.mark.parametrize(
    "text",
    [
        READ + "\n",
        READ + "  \n\n",
        READ.removesuffix("\n"),
        READ.replace("\n", "\r\n"),
        READ.replace(" \n", "\n").replace("\n", "\n ").rstrip(" "),
        READ + "b 5.0 \n",
        READ.replace("a 3.25", "a \t3.25"),
        READ.replace("a 3.25 ", "\ta 3.25\t"),
        READ.replace("a 3.25", "a +3.25e0"),
        "# made by hand\n" + READ + "  # the end, _param_0 of nothing\n",
        "a 3.25\nb 5.0\na_param_0 1.5 2.5\nb_param_0 4.0\n",
    ],
)
def test_what_ncnn2int8_reads_as_it_was_meant_is_read(text: str) -> None:
    table = parse_table(text)
    assert (table.weight_scales, table.activation_scales) == (
        {"a": (1.5, 2.5), "b": (4.0,)},
        {"a": 3.25, "b": 5.0},
    )


def test_a_byte_order_mark_and_utf_16_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.table"
    path.write_bytes(READ.encode("utf-8-sig"))
    with pytest.raises(InputError, match=r"t\.table:1: layer 'a': has a byte order mark"):
        read_table(path)
    path.write_bytes(READ.encode("utf-16"))
    with pytest.raises(InputError, match=r"t\.table:1: "):
        read_table(path)


def test_rows_of_layers_with_weight_scales_alone_are_kept() -> None:
    rows = "mha_param_0 7.0 8.0 \nmha_param_3 9.0 \nlstm_param_0 1.0 \n"
    table = parse_table(READ + rows)
    assert table.layers == ("a", "b")
    assert table.text() == READ.replace("1.5 2.5", "1.500000 2.500000").replace(
        "4.0", "4.000000"
    ).replace("3.25", "3.250000").replace("5.0", "5.000000") + rows.replace(".0", ".000000")
    assert table.without(["a", "mha"]).text() == (
        "b_param_0 4.000000 \nb 5.000000 \nlstm_param_0 1.000000 \n"
    )
    assert table.only(["a"]).text() == "a_param_0 1.500000 2.500000 \na 3.250000 \n"


@pytest.mark.parametrize("name", ["kl", "aciq"])
def test_ncnn2tables_rows_of_attention_are_written_back_to_the_byte(
    golden: Path, name: str
) -> None:
    path = golden / "attention_64x48" / f"{name}.table"
    table = read_table(path)
    assert table.text().encode() == path.read_bytes()
    assert table.layers == ("conv_3", "conv_4", "linear_9")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a_param_0 1.0 \nb_param_1 2.0 \n", "has weight lines alone, so no layer becomes int8"),
        ("a_param_0 1.0 \nb 2.0 \n", "has no layer with both its lines"),
        ("b 2.0 \n", "has no layer with both its lines"),
    ],
)
def test_a_table_that_makes_nothing_int8_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_table(text)
