import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantkit.backends.runner import Tensor
from quantkit.backends.wire import MessageError, receive, send

arrays = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


def reader(data: bytes):  # type: ignore[no-untyped-def]
    stream = io.BytesIO(data)

    def exactly(size: int) -> bytearray:
        got = stream.read(size)
        if len(got) < size:
            raise EOFError
        return bytearray(got)

    return exactly


@given(header=st.dictionaries(st.text().filter(lambda k: k != "shapes"), st.integers() | st.text()),
       values=st.lists(arrays, max_size=3))  # fmt: skip
def test_what_is_sent_is_received(header: dict[str, object], values: list[Tensor]) -> None:
    pipe = io.BytesIO()
    send(pipe.write, header, values)
    got, received = receive(reader(pipe.getvalue()))
    assert got == header
    assert [array.shape for array in received] == [array.shape for array in values]
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
    [[], {}, {"shapes": 3}, {"shapes": [[-1]]}, {"shapes": [["a"]]}, {"shapes": [[1 << 40]]}],
)
def test_a_header_without_sane_shapes_is_refused(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(MessageError):
        receive(reader(struct.pack("<I", len(text)) + text))


def test_a_truncated_array_is_an_end_of_file() -> None:
    pipe = io.BytesIO()
    send(pipe.write, {}, [np.ones(4, np.float32)])
    with pytest.raises(EOFError):
        receive(reader(pipe.getvalue()[:-1]))
