import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import ncnn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.model.layer_records import record_specs
from quantkit.model.param import Layer, Param, parse_param, read_param
from quantkit.model.shapes import blob_shapes
from tests.nets import INPUT, SIZE, small_network

HEAD = "7767517\n2 2\nInput                    data                     0 1 data\n"
RELU = "ReLU                     relu                     1 1 data out"
SMALL = small_network(np.random.default_rng(0)).param_text()


def test_parts_of_a_layer_are_read() -> None:
    layer = parse_param(f"{HEAD}{RELU} 0=1.000000e-01 3=7 -23310=2,0.5,6.0\n").layers[1]
    assert (layer.type, layer.name, layer.bottoms, layer.tops) == (
        "ReLU",
        "relu",
        ("data",),
        ("out",),
    )
    assert layer.float_param(0, 0.0) == pytest.approx(0.1)
    assert layer.int_param(3, 0) == 7
    assert layer.int_param(4, -1) == -1
    assert layer.array_param(10) == (0.5, 6.0)
    assert layer.array_param(11) == ()


def test_new_style_arrays_and_strings_are_read() -> None:
    layer = parse_param(f'{HEAD}{RELU} 1=3,4 2="a string, with = in it" 6=linear\n').layers[1]
    assert layer.array_param(1) == (3, 4)
    assert layer.params[2] == '"a string, with = in it"'


@pytest.mark.parametrize("width", [0, 16, 24])
def test_column_widths_of_older_writers_are_kept(width: int) -> None:
    text = f"7767517\n1 1\n{'Input':<{width}} {'data':<{width}} 0 1 data 0=3\n"
    assert parse_param(text).text() == text


def test_parameters_are_set_in_the_order_of_their_ids() -> None:
    layer = parse_param(f"{HEAD}{RELU} 0=1 5=1 -23310=1,2\n").layers[1]
    assert layer.with_params({8: "2"}).text().endswith("0=1 5=1 8=2 -23310=1,2")
    assert layer.with_params({5: "3"}).text().endswith("0=1 5=3 -23310=1,2")
    assert layer.with_params({5: None, -23310: None}).text() == f"{RELU} 0=1"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("7767517\n", "7767518\n", 1, "begins with 7767517"),
        ("2 2\n", "3 2\n", 2, "'3 2', but what follows has '2 2'"),
        ("2 2\n", "2 1\n", 2, "'2 1', but what follows has '2 2'"),
        ("2 2\n", "0 2\n", 2, "counts of layers and blobs are missing or 0"),
        ("2 2\n", "2\n", 3, "counts of layers and blobs"),
        ("2 2\n", "two\n", 2, "counts of layers and blobs"),
        ("1 1 data out", "1 1 date out", 4, "makes the blob 'date'"),
        ("1 1 data out", "1 1 data data", 4, "'data' is made a second time"),
        ("1 1 data out", "1 1 data", 4, "fewer blob names"),
        ("1 1 data out", "2 1 data out", 4, "fewer blob names"),
        ("1 1 data out", "1 2 data out out2", 4, "1 bottoms and 2 tops"),
        ("1 1 data out", "0 1 out", 4, "0 bottoms and 1 tops"),
        ("1 1 data out", "-1 1 data out", 4, "expected a layer"),
        ("1 1 data out", "", 4, "expected a layer"),
        ("data out", "data out 0", 4, "expected parameters as id=value, got '0'"),
        ("data out", "data out 0=", 4, "expected parameters"),
        ("data out", "data out =1", 4, "expected parameters"),
        ("data out", "data out 0=1x", 4, "got '1x'"),
        ("data out", "data out 0=nan", 4, "got 'nan'"),
        ("data out", "data out 0=-inf", 4, "got '-inf'"),
        ("data out", "data out 0=1,", 4, "got ''"),
        ("data out", "data out 0=99999999999", 4, "32 bits"),
        ("data out", "data out 0=1.0000000000000001", 4, "at most 15 characters"),
        ("data out", "data out 32=1", 4, "from 0 to 31"),
        ("data out", "data out -1=1", 4, "from 0 to 31"),
        ("data out", "data out -23310=3,1,2", 4, "key=count,a,b"),
        ("data out", "data out 0=1 0=2", 4, "given twice"),
        ("data out", "data out 10=1 -23310=1,2", 4, "given twice"),
        ("data out", f'data out 0="{"a" * 300}"', 4, "at most 240"),
        (" relu ", f" {'r' * 256} ", 4, "longer than 255"),
    ],
)
def test_malformed_text_names_its_line(old: str, new: str, line: int, message: str) -> None:
    text = f"{HEAD}{RELU}\n".replace(old, new, 1)
    with pytest.raises(InputError) as caught:
        parse_param(text, Path("net.param"))
    assert str(caught.value).startswith(f"net.param:{line}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["2 7", "+2 007", "2\n7", "\n2 7 "])
def test_a_count_of_blobs_that_is_too_large_is_read_with_a_note(head: str) -> None:
    text = f"7767517\n{head}\n{HEAD.split(chr(10), 2)[2]}{RELU}\n"
    param = parse_param(text)
    assert param == parse_param(f"{HEAD}{RELU}\n")
    assert param.text().startswith("7767517\n2 2\n")
    assert param.notes == ("its header counts 7 blobs, its layers make 2",)


def test_lines_beyond_the_counted_layers_are_ignored_with_a_note() -> None:
    param = parse_param(f"{HEAD}{RELU}\nStrange line\n")
    assert param == parse_param(f"{HEAD}{RELU}\n")
    assert param.ignored_lines == 1
    note = "its header counts 2 layers: as in ncnn, the last 1 of its 3 are not read"
    assert param.notes == (note,)


def test_pnnx_own_form_is_told_from_ncnn_s() -> None:
    text = "7767517\n2 1\npnnx.Input in0 0 1 0 #0=(1,3,8,8)f32\nnn.ReLU r 1 1 0 1 bias=True\n"
    with pytest.raises(InputError, match=r"net.pnnx.param: is pnnx's own form .*\.ncnn\.param"):
        parse_param(text, Path("net.pnnx.param"))


def test_layers_of_one_name_are_numbered() -> None:
    lines = [f"ReLU {name} 1 1 b{i} b{i + 1}" for i, name in enumerate(["r", "r_2", "r", "r", "s"])]
    text = "\n".join(["7767517", "6 6", "Input in 0 1 b0", *lines]) + "\n"
    param = parse_param(text)
    assert [layer.name for layer in param.layers] == ["in", "r", "r_2", "r_3", "r_4", "s"]
    assert [layer.tops for layer in param.layers] == [(f"b{i}",) for i in range(6)]
    assert param.notes == (
        "3 layers are named 'r': here and in what is written the later are 'r_3', 'r_4'",
    )
    again = parse_param(param.text())
    assert (again, again.notes) == (param, ())


@pytest.mark.parametrize("text", ["", "\n\n", "7767517", "7767517\n1 1\n", "\x00\x01"])
def test_a_file_without_layers_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_param(text)


def test_a_parameter_of_a_wrong_kind_names_the_layer_and_line() -> None:
    layer = parse_param(f"{HEAD}{RELU} 0=1.5 1=abc\n", Path("net.param")).layers[1]
    with pytest.raises(
        InputError, match=r"net.param:4: ReLU 'relu': parameter 0 must be an integer"
    ):
        layer.int_param(0, 0)
    with pytest.raises(InputError, match="parameter 1 must be a number"):
        layer.float_param(1, 0.0)
    with pytest.raises(InputError, match="parameter 1 must be an array"):
        layer.array_param(1)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.param").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"net\.param: is not a text file"):
        read_param(tmp_path / "net.param")


def test_a_layer_is_found_by_name() -> None:
    param = parse_param(SMALL, Path("net.param"))
    assert param.layer("head").type == "Convolution"
    with pytest.raises(InputError, match=r"net.param: there is no layer 'neck2'"):
        param.layer("neck2")


def test_the_runtime_reads_the_same_graph() -> None:
    param, net = parse_param(SMALL), ncnn.Net()
    assert net.load_param_mem(SMALL) == 0
    blobs = [blob.name for blob in net.blobs()]
    seen = [
        (x.type, x.name, tuple(blobs[i] for i in x.bottoms), tuple(blobs[i] for i in x.tops))
        for x in net.layers()
    ]
    assert seen == [(x.type, x.name, x.bottoms, x.tops) for x in param.layers]
    assert len(blobs) == param.blob_count


def test_files_of_ncnn_tools_round_trip(golden: Path) -> None:
    files = sorted(golden.glob("*/*.param"))
    assert files
    for file in files:
        assert read_param(file).text() == file.read_text(), file


def test_files_of_trained_nets_round_trip(real_data: Path) -> None:
    files = sorted((real_data / "models").glob("*.param"))
    assert files
    for file in files:
        assert read_param(file).text() == file.read_text(), file


_NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1).filter(
    lambda name: not re.match(r"[+-]?\d+=", name)
)
_VALUES = st.one_of(
    st.integers(-(2**31) + 1, 2**31 - 1).map(str),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map("{:e}".format),
    st.lists(st.integers(-9999, 9999), min_size=2, max_size=5).map(lambda x: ",".join(map(str, x))),
    st.from_regex(r'"[a-z0-9 =,]{0,20}"', fullmatch=True),
)


@st.composite
def _params(draw: st.DrawFn) -> Param:
    layers: list[Layer] = []
    blobs: list[str] = []
    names = draw(st.lists(_NAMES, min_size=1, max_size=6, unique=True))
    for index, name in enumerate(names):
        bottoms = draw(st.lists(st.sampled_from(blobs), max_size=3)) if blobs else []
        tops = [f"{name}_{index}_{i}" for i in range(draw(st.integers(0, 3)))]
        values = draw(st.dictionaries(st.integers(0, 31), _VALUES, max_size=5))
        blobs += tops
        layers.append(Layer("Custom", name, tuple(bottoms), tuple(tops), values))
    return Param(tuple(layers))


@given(_params())
def test_any_graph_round_trips(param: Param) -> None:
    parsed = parse_param(param.text())
    assert parsed == param
    assert parsed.text() == param.text()


def _as_ncnn_reads(text: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]] | None:
    net = ncnn.Net()
    if net.load_param_mem(text) != 0:
        return None
    blobs = [blob.name for blob in net.blobs()]
    return [
        (x.type, tuple(blobs[i] for i in x.bottoms), tuple(blobs[i] for i in x.tops))
        for x in net.layers()
    ]


@pytest.fixture(scope="module")
def child() -> Iterator[ProcessPoolExecutor]:
    """A process of its own for ncnn, which may die of a header."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


@given(
    counts=st.tuples(st.integers(-1, 6), st.integers(-1, 9)),
    names=st.lists(st.sampled_from("rst"), min_size=4, max_size=4),
    gap=st.sampled_from([" ", "\n", "\t ", " \r\n"]),
)
@settings(max_examples=150, deadline=None)
def test_counts_and_names_are_read_as_ncnn_reads_them(
    child: ProcessPoolExecutor, counts: tuple[int, int], names: list[str], gap: str
) -> None:
    lines = [f"ReLU {name} 1 1 b{i} b{i + 1}" for i, name in enumerate(names)]
    head = f"7767517{gap}{counts[0]}{gap}{counts[1]}"
    text = "\n".join([head, "Input in 0 1 b0", *lines]) + "\n"
    expected = child.submit(_as_ncnn_reads, text).result()
    try:
        param = parse_param(text)
    except InputError:
        assert expected is None
        return
    assert [(x.type, x.bottoms, x.tops) for x in param.layers] == expected
    assert len(param.by_name) == len(param.layers)
    assert bool(param.notes) == (param.text().split() != text.split())


@st.composite
def _mutations(draw: st.DrawFn) -> str:
    lines = SMALL.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        line = draw(st.integers(0, len(lines) - 1))
        words = lines[line].split(" ")
        word = draw(st.integers(0, len(words) - 1))
        words[word] = draw(
            st.sampled_from(["", "0", "-1", "1=0", "0=", "5=-3", "7=5", "6=0", "1=1e9", "3=-23309"])
            | st.text(max_size=8)
            | st.sampled_from([w for text in lines for w in text.split()])
        )
        lines[line] = " ".join(words)
    return "\n".join(lines)


@given(_mutations())
@settings(max_examples=400)
def test_a_mutated_file_is_read_or_refused_but_never_crashes(text: str) -> None:
    with suppress(InputError):
        param = parse_param(text)
        for layer in param.layers:
            record_specs(layer)
        blob_shapes(param, {INPUT: (3, SIZE[1], SIZE[0])})


@given(st.text())
def test_any_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError):
        parse_param(text)
