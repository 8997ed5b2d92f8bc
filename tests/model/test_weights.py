import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import Param, parse_param, read_param
from quantkit.model.weights import (
    FP16_TAG,
    INT8_TAG,
    LayerWeights,
    Record,
    bin_parts,
    parse_weights,
    read_weights,
)
from tests.nets import small_network

SMALL = small_network(np.random.default_rng(0))
DATA = SMALL.bin_bytes()
BIN = Path("net.bin")


def test_small_records_are_laid_out_as_in_ncnn() -> None:
    param = parse_param("7767517\n2 2\nInput d 0 1 d\nInnerProduct f 1 1 d f 0=1 1=1 2=3\n")
    tag = (0x01306B47).to_bytes(4, "little")
    halves = np.array([1, -2, 0.5], "<f2").tobytes()
    data = tag + halves + b"\0\0" + np.array([7], "<f4").tobytes()
    weights = parse_weights(param, data)["f"]
    assert weights["weight"].tolist() == [1, -2, 0.5]
    assert weights["weight"].dtype == np.float32
    assert weights["bias"].tolist() == [7]
    assert weights.nbytes == len(data)
    assert b"".join(bin_parts(param, {"f": weights})) == data


def test_int8_records_keep_their_integers() -> None:
    record = Record(np.array([1, -127, 3], np.int8), INT8_TAG)
    assert b"".join(record.parts()) == b"\x38\x4b\x0d\0\x01\x81\x03\0"
    assert record.nbytes == 8
    assert record.values().tolist() == [1, -127, 3]


def test_weights_are_views_of_the_file() -> None:
    weights = parse_weights(SMALL.param, DATA)
    records = [record for layer in weights.values() for record in layer.records.values()]
    assert all(not record.stored.flags.owndata for record in records)
    assert sum(record.nbytes for record in records) == len(DATA)


def test_files_of_ncnn_tools_round_trip(golden: Path) -> None:
    files = sorted(golden.glob("*/*.bin"))
    assert files
    for file in files:
        _assert_round_trip(file)


def test_files_of_trained_nets_round_trip(real_data: Path) -> None:
    files = sorted((real_data / "models").glob("*.bin"))
    assert files
    for file in files:
        _assert_round_trip(file)


def _assert_round_trip(file: Path) -> None:
    param = read_param(file.with_suffix(".param"))
    weights = read_weights(param, file)
    assert b"".join(bin_parts(param, weights)) == file.read_bytes(), file


def test_a_short_bin_names_the_layer_and_the_byte() -> None:
    last = SMALL.weights["head"]["bias"].nbytes
    place = f"'bias' of layer 'head' needs 68 bytes at byte {len(DATA) - last}"
    with pytest.raises(InputError, match=rf"net.bin: too short: {place}, the file has \d+"):
        parse_weights(SMALL.param, DATA[:-1], BIN)


def test_an_empty_bin_names_the_first_layer() -> None:
    with pytest.raises(InputError, match="'weight' of layer 'stem' needs 4 bytes at byte 0"):
        parse_weights(SMALL.param, b"", BIN)


def test_a_long_bin_names_the_byte_and_the_last_layer() -> None:
    text = f"net.bin: too long: 3 bytes left at byte {len(DATA)} after the last weights .*'head'"
    with pytest.raises(InputError, match=text):
        parse_weights(SMALL.param, DATA + b"abc", BIN)


def test_a_bin_of_a_network_without_weights_must_be_empty() -> None:
    param = parse_param("7767517\n1 1\nInput d 0 1 d\n")
    assert parse_weights(param, b"") == {}
    with pytest.raises(InputError, match="too long"):
        parse_weights(param, b"\0")


def test_an_unknown_tag_names_the_layer() -> None:
    data = b"\1\2\3\4" + DATA[4:]
    text = "unknown storage tag 0x04030201 at byte 0, for 'weight' of layer 'stem'"
    with pytest.raises(InputError, match=text):
        parse_weights(SMALL.param, data, BIN)


def test_an_unknown_layer_type_is_pointed_at_where_bytes_do_not_fit() -> None:
    text = SMALL.param_text().replace("Sigmoid  ", "MyLayer  ")
    assert parse_weights(parse_param(text), DATA).keys() == SMALL.weights.keys()
    with pytest.raises(InputError, match=r"is unknown: MyLayer"):
        parse_weights(parse_param(text), DATA[:-4])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["weight", "bias"])
def test_values_that_are_not_finite_name_the_layer_and_index(value: float, field: str) -> None:
    records = dict(SMALL.weights["neck"].records)
    bad = records[field].stored.copy()
    bad[5] = value
    records[field] = Record(bad, records[field].tag)
    network = SMALL.replaced({}, {"neck": LayerWeights(records)})
    text = rf"net.bin: '{field}' of layer 'neck' \(at byte \d+\) has {value} at index 5"
    with pytest.raises(InputError, match=text):
        parse_weights(SMALL.param, network.bin_bytes(), BIN)


def test_a_half_that_is_not_finite_is_refused() -> None:
    param = parse_param("7767517\n2 2\nInput d 0 1 d\nInnerProduct f 1 1 d f 0=1 2=2\n")
    record = Record(np.array([1, np.inf], np.float16), FP16_TAG)
    with pytest.raises(InputError, match="has inf at index 1"):
        parse_weights(param, b"".join(record.parts()))


def test_records_that_do_not_fit_the_layer_are_not_written() -> None:
    weights = {**SMALL.weights, "head": SMALL.weights["neck"]}
    with pytest.raises(InputError, match="Convolution 'head': needs the weight records"):
        Network(SMALL.param, weights).bin_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/no.bin: cannot be read")):
        read_weights(SMALL.param, tmp_path / "no.bin")


@given(st.integers(0, len(DATA)), st.binary(max_size=9), st.integers(0, len(DATA)))
@settings(max_examples=200)
def test_spliced_bytes_are_read_or_refused_but_never_crash(
    cut: int, new: bytes, go_on: int
) -> None:
    data = DATA[:cut] + new + DATA[go_on:]
    with suppress(InputError):
        assert b"".join(bin_parts(SMALL.param, parse_weights(SMALL.param, data))) == data


@given(st.data())
@settings(max_examples=100)
def test_a_bin_of_another_param_is_read_or_refused_but_never_crashes(data: st.DataObject) -> None:
    layers = list(SMALL.param.layers)
    index = data.draw(st.integers(0, len(layers) - 1))
    number, value = data.draw(st.integers(0, 22)), data.draw(st.integers(-9, 2**31 - 1))
    layers[index] = layers[index].with_params({number: str(value)})
    with suppress(InputError):
        parse_weights(Param(tuple(layers)), DATA)
