import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantkit.backends.wire import Fill, MessageError, Values, receive, send

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
arrays = hnp.arrays(np.float32, shapes) | hnp.arrays(np.uint8, shapes)


def reader(data: bytes) -> Fill:
    stream = io.BytesIO(data)

    def fill(buffer: memoryview) -> None:
        if stream.readinto(buffer) < len(buffer):
            raise EOFError

    return fill


@given(header=st.dictionaries(st.text().filter(lambda k: k != "arrays"), st.integers() | st.text()),
       values=st.lists(arrays, max_size=3))  # fmt: skip
def test_what_is_sent_is_received(header: dict[str, object], values: list[Values]) -> None:
    pipe = io.BytesIO()
    send(pipe.write, header, values)
    got, received = receive(reader(pipe.getvalue()))
    assert got == header
    assert [array.shape for array in received] == [array.shape for array in values]
    assert [array.dtype for array in received] == [array.dtype for array in values]
    for one, other in zip(values, received, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_transposed_array_is_sent_by_its_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    pipe = io.BytesIO()
    send(pipe.write, {}, [array])
    np.testing.assert_array_equal(receive(reader(pipe.getvalue()))[1][0], array)


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_too_short(data: bytes) -> None:
    with pytest.raises((MessageError, EOFError)):
        receive(reader(data))


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"arrays": 3},
        {"arrays": [3]},
        {"arrays": [["<f4", [-1]]]},
        {"arrays": [["<f4", ["a"]]]},
        {"arrays": [["<f4", [True]]]},
        {"arrays": [["<f4", [1 << 40]]]},
        {"arrays": [["<f4", [1 << 20, 1 << 20]]]},
        {"arrays": [["|O", [1]]]},
        {"arrays": [[["<f4"], [1]]]},
    ],
)
def test_a_header_without_sane_arrays_is_refused(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(MessageError):
        receive(reader(struct.pack("<I", len(text)) + text))


def test_a_truncated_array_is_an_end_of_file() -> None:
    pipe = io.BytesIO()
    send(pipe.write, {}, [np.ones(4, np.float32)])
    with pytest.raises(EOFError):
        receive(reader(pipe.getvalue()[:-1]))
