from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from quantkit.errors import InputError
from quantkit.model.export.image_input import take_plain_images
from quantkit.model.export.interface import describe_onnx, onnx_interface
from tests.onnx_nets import image_net

TYPES = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
    TensorProto.UINT8: np.uint8,
}


def ran(model: onnx.ModelProto, image: NDArray[Any]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"image": image}))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([1, 3]),
    st.tuples(st.integers(2, 6), st.integers(2, 6)).map(lambda s: (8 * s[0], 8 * s[1])),
    st.sampled_from(list(TYPES)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_image_is_taken_as_float32_channels_first(
    tmp_path_factory: pytest.TempPathFactory,
    channels: int,
    size: tuple[int, int],
    type: int,
    last: bool,
    open_batch: bool,
    open_sides: bool,
    open_outputs: bool,
) -> None:
    width, height = size
    sides: list[int | str] = ["h", "w"] if open_sides else [height, width]
    batch = "n" if open_batch else 1
    dims = [batch, *sides, channels] if last else [batch, channels, *sides]
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    file = image_net(path, dims, {"a": (5, 4), "b": (10, 2)}, type=type, open_outputs=open_outputs)
    told = describe_onnx(str(path), list(size))
    assert (told["input"], told["shape"]) == ("image", (channels, height, width))
    assert told["grey_levels"] == (type == TensorProto.UINT8)

    pixels = np.random.default_rng(0).integers(0, 256, (1, channels, height, width))
    given = pixels.transpose(0, 2, 3, 1) if last else pixels
    expected = ran(onnx.load(path), np.ascontiguousarray(given).astype(TYPES[type]))
    changed = onnx.load(path)
    take_plain_images(changed, [channels, height, width])
    got = ran(changed, pixels.astype(np.float32))
    assert [list(out.shape[1:]) for out in got] == list(told["outputs"].values())
    for out, before in zip(got, expected, strict=True):
        planes = before.transpose(0, 3, 1, 2) if last else before
        np.testing.assert_allclose(out, planes, rtol=1e-4, atol=1e-2)
    assert tuple(told["outputs"]) == file.outputs


@pytest.mark.parametrize(
    ("dims", "type", "message"),
    [
        ([4, 3, 64, 48], TensorProto.FLOAT, r"fixes the batch at 4: export it with a batch of 1"),
        ([1, 3, 64, 48], TensorProto.INT8, r"takes int8: float32, .* are supported"),
        ([1, 3, 64, 48], TensorProto.INT64, r"takes int64: float32, .* are supported"),
        ([1, 3, "h", "w"], TensorProto.FLOAT, r"give --size WIDTH HEIGHT"),
        ([1, 3, 32, 32], TensorProto.FLOAT, r"--size 48 64 does not fit: .* 32 wide and 32 high"),
    ],
)
def test_an_image_that_cannot_be_fed_is_refused(
    tmp_path: Path, dims: list[int | str], type: int, message: str
) -> None:
    path = tmp_path / "net.onnx"
    image_net(path, dims, {"a": (5, 4)}, type=type)
    with pytest.raises(InputError, match=message) as caught:
        describe_onnx(str(path), [48, 64] if dims[2] == 32 else None)
    assert str(caught.value).startswith(str(path))


def test_networks_of_other_inputs_are_refused(tmp_path: Path) -> None:
    def net(*inputs: tuple[str, list[int]]) -> str:
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in inputs]
        graph = helper.make_graph(
            [helper.make_node("Identity", [inputs[0][0]], ["o"])],
            "net",
            values,
            [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
        )
        path = tmp_path / "net.onnx"
        onnx.save(helper.make_model(graph, ir_version=7), path)
        return str(path)

    with pytest.raises(InputError, match=r"one input, got 2 \('image', 'scale'\)"):
        describe_onnx(net(("image", [1, 3, 8, 8]), ("scale", [1])), None)
    with pytest.raises(InputError, match=r"'image' of shape \(1, 24\) is no batch of images"):
        describe_onnx(net(("image", [1, 24])), None)
    with pytest.raises(InputError, match=r"has 4 channels: 3 \(rgb, bgr\) or 1 \(gray\)"):
        describe_onnx(net(("image", [1, 4, 8, 8])), None)


def test_a_size_that_the_weights_contradict_is_refused(tmp_path: Path) -> None:
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [192, 34], np.zeros(192 * 34))
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight"], ["o"]),
        ],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 34])],
        [weight],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, ir_version=7), path)
    assert describe_onnx(str(path), [8, 8])["outputs"] == {"o": [34]}
    with pytest.raises(InputError, match="cannot run it at 16x8, is the size right") as caught:
        describe_onnx(str(path), [16, 8])
    assert "\n" not in str(caught.value)


def test_an_interface_is_read_in_a_child(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    image_net(path, [1, 1, 64, 48], {"hm": (21, 4)})
    told = onnx_interface(path)
    assert (told.input, told.shape) == ("image", (1, 64, 48))
    assert told.outputs == {"hm": (21, 16, 12)}
    with pytest.raises(InputError, match="is not an ONNX model"):
        onnx_interface(Path(__file__))
