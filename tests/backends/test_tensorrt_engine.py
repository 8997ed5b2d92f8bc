"""Our own build code with TensorRT for RTX, which builds for a GPU that is not there."""

import gc
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quantkit.backends.names import Precision
from quantkit.backends.tensorrt_engine import Builder
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.source import OnnxFile
from quantkit.quantization.qdq import to_qdq
from tests.nets import INPUT
from tests.onnx_nets import small_onnx
from tests.quantization.agreement import simple_table
from tests.quantization.onnx_pairs import Pair, PairBuilder, conv_pair, crops

TARGET = "SM89"

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def trt() -> ModuleType:
    reason = "tensorrt_rtx is not installed: pip install 'quantkit[dev]' on x86-64 Linux"
    module: ModuleType = pytest.importorskip("tensorrt_rtx", reason=reason)
    return module


@pytest.fixture
def small(tmp_path: Path) -> OnnxFile:
    return small_onnx(tmp_path / "small.onnx", outputs=2)


def int8(pair: Pair, path: Path) -> OnnxFile:
    """Write the int8 network of a pair, with the scales of one crop."""
    names = [layer.name for layer in int8_layers(pair.ncnn)]
    network = to_qdq(pair.onnx.path, pair.ncnn, simple_table(pair.ncnn, crops(1)[0], names))
    assert set(network.layers) == set(names)
    onnx.save(network.model, path)
    return OnnxFile(path, pair.onnx.input, pair.onnx.outputs)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_built(trt: ModuleType, small: OnnxFile, precision: Precision) -> None:
    assert len(Builder(trt).plan(small, precision, TARGET)) > small.path.stat().st_size


@pytest.mark.parametrize("opset", [11, 17])
def test_an_engine_is_built_of_int8_convolutions(
    trt: ModuleType, tmp_path: Path, opset: int
) -> None:
    pair = conv_pair(tmp_path / "net.onnx", opset=opset)
    assert Builder(trt).plan(int8(pair, tmp_path / "int8.onnx"), "int8", TARGET)


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "matmul"])
def test_an_engine_is_built_of_int8_inner_products(
    trt: ModuleType, tmp_path: Path, form: str
) -> None:
    net = PairBuilder(opset=13)
    net.conv("stem", INPUT, (3, 6))
    net.pool("pooled", "stem")
    net.linear("wide", "pooled", (6, 9), form)
    pair = net.build(tmp_path / "net.onnx", "wide", rank=2)
    assert Builder(trt).plan(int8(pair, tmp_path / "int8.onnx"), "int8", TARGET)


def test_a_batch_of_any_size_becomes_one_image(trt: ModuleType, small: OnnxFile) -> None:
    model = onnx.load(small.path)
    for one in (*model.graph.input, *model.graph.output):
        one.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, small.path)
    assert Builder(trt).plan(small, "fp32", TARGET)
    assert Builder(trt).plan(small, "fp16", TARGET)


@pytest.mark.parametrize(("axis", "size"), [(0, 8), (2, "height")])
def test_an_input_that_is_not_one_image_of_a_fixed_size_is_refused(
    trt: ModuleType, small: OnnxFile, axis: int, size: int | str
) -> None:
    model = onnx.load(small.path)
    dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
    setattr(dim, "dim_value" if isinstance(size, int) else "dim_param", size)
    for one in model.graph.output:
        one.type.tensor_type.ClearField("shape")
    onnx.save(model, small.path)
    with pytest.raises(InputError, match=r"small\.onnx: its input 'image' must hold one image of"):
        Builder(trt).plan(small, "fp32", TARGET)


def test_weights_in_a_file_of_their_own_are_found(trt: ModuleType, small: OnnxFile) -> None:
    onnx.save(
        onnx.load(small.path), small.path, save_as_external_data=True, location="w",
        size_threshold=0,
    )  # fmt: skip
    for precision in ("fp32", "fp16"):
        assert Builder(trt).plan(small, precision, TARGET)
    (small.path.parent / "w").unlink()
    with pytest.raises(InputError, match=r"small\.onnx: TensorRT cannot read it: "):
        Builder(trt).plan(small, "fp32", TARGET)


@pytest.mark.parametrize(
    ("content", "precision", "reason"),
    [
        (b"", "fp32", "expected the one input 'image', found none"),
        (b"", "fp16", "expected the one input 'image', found none"),
        (b"not a network", "fp32", "TensorRT cannot read it: .*Failed to parse the ONNX model"),
        (b"not a network", "fp16", r"cannot be converted to fp16: \w"),
    ],
)
def test_a_file_that_is_no_network_is_named(
    trt: ModuleType, small: OnnxFile, content: bytes, precision: Precision, reason: str
) -> None:
    small.path.write_bytes(content)
    with pytest.raises(InputError, match=rf"small\.onnx: {reason}"):
        Builder(trt).plan(small, precision, TARGET)


def test_the_parser_says_what_it_cannot_read(trt: ModuleType, small: OnnxFile) -> None:
    model = onnx.load(small.path)
    model.graph.node[1].op_type = "NoSuchOperator"
    onnx.save(model, small.path)
    with pytest.raises(InputError, match=r"TensorRT cannot read it: .*NoSuchOperator"):
        Builder(trt).plan(small, "fp32", TARGET)


def test_an_int32_bias_is_refused_with_the_reason(trt: ModuleType, tmp_path: Path) -> None:
    file = int8(conv_pair(tmp_path / "net.onnx"), tmp_path / "int8.onnx")
    model = onnx.load(file.path)
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    step = numpy_helper.from_array(np.float32(1), "bias.step")
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.zeros(16, np.int32), "bias.int32"), step]
    )
    node = helper.make_node("DequantizeLinear", ["bias.int32", "bias.step"], ["bias"])
    model.graph.node.insert(0, node)
    stem.input[2] = "bias"
    onnx.save(model, file.path)
    with pytest.raises(InputError, match=r"int8\.onnx: TensorRT cannot \w.*: \w"):
        Builder(trt).plan(file, "int8", TARGET)


def test_an_unknown_output_and_an_unknown_input_are_named(trt: ModuleType, small: OnnxFile) -> None:
    nowhere = OnnxFile(small.path, "image", ("nowhere",))
    with pytest.raises(InputError, match="has no output 'nowhere', only heatmap0, heatmap1"):
        Builder(trt).plan(nowhere, "fp32", TARGET)
    with pytest.raises(InputError, match="expected the one input 'data', found image"):
        Builder(trt).plan(OnnxFile(small.path, "data", ("heatmap0",)), "fp32", TARGET)


def test_an_output_that_is_not_asked_for_is_not_computed(trt: ModuleType, small: OnnxFile) -> None:
    one = Builder(trt).plan(OnnxFile(small.path, "image", ("heatmap1",)), "fp32", TARGET)
    assert len(one) + 4 * 17 * 16 <= len(Builder(trt).plan(small, "fp32", TARGET))


def test_a_file_that_is_not_there_is_named(trt: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.onnx: does not exist"):
        Builder(trt).plan(OnnxFile(tmp_path / "no.onnx", "image", ("heatmap",)), "fp16", TARGET)


def test_the_logger_outlives_the_builders(trt: ModuleType, small: OnnxFile) -> None:
    for _ in range(3):
        assert Builder(trt).plan(small, "fp32", TARGET)
        gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_built_of_a_trained_network(
    trt: ModuleType, real_data: Path, precision: Precision
) -> None:
    path = real_data / "models" / "simplepose_256x192.onnx"
    file = OnnxFile(path, "data", ("hybridsequential0_conv7_fwd",))
    assert Builder(trt).plan(file, precision, TARGET)


@pytest.mark.slow
def test_engines_are_built_of_the_demos_exported_network(trt: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("mmpose", reason="the export needs mmpose")
    from quantkit.demo.network import CHECKPOINT, CONFIG
    from quantkit.model.export.to_onnx import mmpose_to_onnx
    from quantkit.model.source import MMPoseSource

    source = MMPoseSource(str(CONFIG), CHECKPOINT)
    file, _ = mmpose_to_onnx(source, tmp_path / "hourglass.onnx")
    fp32 = Builder(trt).plan(file, "fp32", TARGET)
    fp16 = Builder(trt).plan(file, "fp16", TARGET)
    weights = sum(
        np.prod(tensor.dims)
        for tensor in onnx.load(file.path).graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    )
    assert len(fp32) > 4 * weights
    assert 2 * weights < len(fp16) < 0.75 * len(fp32)
