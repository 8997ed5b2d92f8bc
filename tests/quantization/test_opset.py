from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from quantkit.errors import InputError
from quantkit.quantization.opset import opset, with_channel_scales
from tests.onnx_nets import onnx_crops, small_onnx

PATH = Path("net.onnx")


def resized(version: int) -> onnx.ModelProto:
    """A network of operators that changed from version to version."""
    kind = onnx.TensorProto.FLOAT
    weight = np.random.default_rng(0).standard_normal((4, 3, 20, 20)).astype(np.float32)
    sizes = np.array([1, 1, 2, 2], np.float32)
    if version < 11:
        clip = helper.make_node("Clip", ["conv"], ["clip"], min=0.0, max=3.0)
        resize = helper.make_node("Upsample", ["clip", "sizes"], ["out"], mode="nearest")
        names = {"sizes": sizes}
    else:
        clip = helper.make_node("Clip", ["conv", "min", "max"], ["clip"])
        resize = helper.make_node("Resize", ["clip", "roi", "sizes"], ["out"], mode="nearest")
        names = {
            "sizes": sizes,
            "roi": np.zeros(0, np.float32),
            "min": np.array(0, "f"),
            "max": np.array(3, "f"),
        }
    conv = helper.make_node("Conv", ["image", "weight"], ["conv"])
    weights = [numpy_helper.from_array(x, name) for name, x in ({"weight": weight} | names).items()]
    graph = helper.make_graph(
        [conv, clip, resize],
        "resized",
        [helper.make_tensor_value_info("image", kind, [1, 3, 32, 24])],
        [helper.make_tensor_value_info("out", kind, [1, 4, 26, 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=6)
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("version", [9, 11])
def test_an_older_network_computes_the_same_in_a_newer_version(version: int) -> None:
    import onnxruntime

    crop = onnx_crops(1)[0][None]
    before = resized(version)
    session = onnxruntime.InferenceSession(
        before.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"image": crop})
    after = with_channel_scales(before, PATH)
    onnx.checker.check_model(after, full_check=True)
    assert opset(after) == 13
    assert [x.name for x in after.graph.input] == ["image"]
    session = onnxruntime.InferenceSession(
        after.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_array_equal(session.run(None, {"image": crop})[0], expected)


def test_a_newer_network_is_left_alone() -> None:
    model = resized(17)
    before = model.SerializeToString(deterministic=True)
    assert with_channel_scales(model, PATH) is model
    assert model.SerializeToString(deterministic=True) == before


def test_the_names_of_nodes_and_tensors_are_kept(tmp_path: Path) -> None:
    before = onnx.load(small_onnx(tmp_path / "small.onnx").path)
    outputs = [list(node.output) for node in before.graph.node]
    weights = {x.name for x in before.graph.initializer}
    crop = {"image": onnx_crops(1)[0][None]}
    (expected,) = ReferenceEvaluator(before).run(None, crop)
    after = with_channel_scales(before, PATH)
    assert [list(node.output) for node in after.graph.node] == outputs
    assert {x.name for x in after.graph.initializer} == weights
    np.testing.assert_array_equal(ReferenceEvaluator(after).run(None, crop)[0], expected)


def test_what_cannot_be_converted_is_said() -> None:
    kind = onnx.TensorProto.FLOAT
    names = ["scale", "shift", "mean", "var"]
    node = helper.make_node("BatchNormalization", ["image", *names], ["out"], spatial=0)
    graph = helper.make_graph(
        [node],
        "old",
        [helper.make_tensor_value_info("image", kind, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", kind, [1, 3, 8, 8])],
        [numpy_helper.from_array(np.ones(3, np.float32), name) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=4)
    with pytest.raises(InputError, match=r"net\.onnx: uses ONNX operators of version 8.*opset 13"):
        with_channel_scales(model, PATH)
