from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quantkit.errors import BackendDied, InputError
from quantkit.model.export.repair import repair
from quantkit.model.export.simplify import repair_onnx, simplify_onnx
from quantkit.model.export.to_ncnn import onnx_to_ncnn
from quantkit.model.network import read_network
from quantkit.model.source import OnnxFile
from tests.onnx_nets import SHAPE, image_net, onnx_crops, reference_outputs, small_onnx

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> OnnxFile:
    return small_onnx(tmp_path / "small.onnx", outputs=2)


def test_a_simplified_network_computes_the_same(source: OnnxFile, tmp_path: Path) -> None:
    target = tmp_path / "simple.onnx"
    simple, used = simplify_onnx(source, target, SHAPE)
    assert simple == OnnxFile(target, source.input, source.outputs)
    assert used.peak_mb > 0
    crop = onnx_crops(1)[0]
    expected, got = (reference_outputs(file, crop) for file in (source, simple))
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_a_free_batch_and_size_become_fixed(source: OnnxFile, tmp_path: Path) -> None:
    model = onnx.load(source.path)
    for axis, size in zip((0, 2, 3), ("n", "h", "w"), strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = size
    onnx.save(model, source.path)
    simple, _ = simplify_onnx(source, tmp_path / "simple.onnx", SHAPE)
    sizes = onnx.load(simple.path).graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_value for size in sizes] == [1, *SHAPE]


def test_batch_norms_of_mxnet_become_spatial(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["scale", "shift", "mean", "var"]
    weights = [numpy_helper.from_array(rng.random(3, np.float32) + 0.5, name) for name in names]
    node = helper.make_node("BatchNormalization", ["image", *names], ["out"], spatial=0)
    kind = onnx.TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("image", kind, [1, *SHAPE])]
    inputs += [helper.make_tensor_value_info(name, kind, [3]) for name in names]
    outputs = [helper.make_tensor_value_info("out", kind, [1, *SHAPE])]
    graph = helper.make_graph([node], "old", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)
    assert repair(model) == ("4 weights are no longer inputs", "1 BatchNormalization are spatial")
    assert [value.name for value in model.graph.input] == ["image"]
    onnx.checker.check_model(model)
    assert repair(model) == ()


def test_an_old_file_with_its_weights_in_the_graph_alone_can_be_simplified(
    source: OnnxFile, tmp_path: Path
) -> None:
    model = onnx.load(source.path)
    model.ir_version = 3
    onnx.save(model, source.path)
    simple, _ = simplify_onnx(source, tmp_path / "simple.onnx", SHAPE)
    crop = onnx_crops(1)[0]
    for one, other in zip(
        reference_outputs(source, crop), reference_outputs(simple, crop), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_outputs_without_a_shape_can_be_simplified(tmp_path: Path) -> None:
    dims = ("n", 3, "h", "w")
    file = image_net(tmp_path / "open.onnx", dims, {"map": (5, 4)}, open_outputs=True)
    simple, _ = simplify_onnx(file, tmp_path / "simple.onnx", SHAPE)
    shape = onnx.load(simple.path).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 5, 8, 6]


def test_a_wrong_input_name_is_named(source: OnnxFile, tmp_path: Path) -> None:
    wrong = OnnxFile(source.path, "data", source.outputs)
    with pytest.raises(InputError, match=r"small\.onnx: expected the one input 'data'"):
        repair_onnx(wrong, tmp_path / "r.onnx")


def test_a_damaged_onnx_file_is_named(source: OnnxFile, tmp_path: Path) -> None:
    source.path.write_bytes(source.path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"small\.onnx: is not an ONNX model"):
        repair_onnx(source, tmp_path / "r.onnx")


def test_pnnx_writes_fp32_weights_and_leaves_nothing_else(source: OnnxFile, tmp_path: Path) -> None:
    pytest.importorskip("pnnx", exc_type=ImportError)
    folder = tmp_path / "made"
    folder.mkdir()
    files, _ = onnx_to_ncnn(source, folder, SHAPE)
    assert files.outputs == ("out0", "out1")
    assert {path.name for path in folder.iterdir()} == {"model.param", "model.bin"}
    stored = sum(weights.nbytes for weights in read_network(files).weights.values())
    tensors = onnx.load(source.path).graph.initializer
    # fp32 with a tag of 4 bytes for each convolution; half precision would be far smaller.
    assert stored == sum(numpy_helper.to_array(tensor).nbytes for tensor in tensors) + 4 * 4


def test_what_pnnx_cannot_read_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pnnx", exc_type=ImportError)
    path = tmp_path / "text.onnx"
    path.write_text("not a network")
    with pytest.raises((InputError, BackendDied), match="pnnx"):
        onnx_to_ncnn(OnnxFile(path, "image", ("heatmap",)), tmp_path, SHAPE)
