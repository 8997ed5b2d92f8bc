"""A trained network with ncnn2table's own table, in ONNX Runtime and in ncnn."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.onnxruntime import OnnxruntimeSession
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import read_table
from quantkit.model.eligibility import int8_layers
from quantkit.model.export.simplify import repair_onnx, simplify_onnx
from quantkit.model.export.to_ncnn import onnx_to_ncnn
from quantkit.model.network import read_network
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles, OnnxFile
from quantkit.quantization import quantize
from quantkit.quantization.carried import Carrying
from quantkit.quantization.onnx_batch_norms import fold_batch_norms
from quantkit.quantization.onnx_layers import match_layers
from quantkit.quantization.onnx_writing import GraphWriting
from quantkit.quantization.qdq import to_qdq
from quantkit.quantization.qdq_onnxruntime import suit_onnxruntime
from quantkit.storage import write_atomically
from quantkit.tuning.equalization import channel_ranges, equalize
from tests.oracles import NEEDS_PNNX
from tests.quantization.agreement import db

NAME = "simplepose_256x192"
SHAPE = (3, 256, 192)
OUTPUT = "hybridsequential0_conv7_fwd"


@pytest.fixture(scope="module")
def fp32(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    folder = tmp_path_factory.mktemp("fp32")
    given = OnnxFile(real_data / "models" / f"{NAME}.onnx", "data", (OUTPUT,))
    mended, _ = repair_onnx(given, folder / "mended.onnx")
    return simplify_onnx(mended, folder / "fp32.onnx", SHAPE)[0]


@pytest.mark.slow
def test_two_runtimes_in_int8_are_nearer_to_each_other_than_to_fp32(
    fp32: OnnxFile, golden: Path, tmp_path: Path
) -> None:
    folder = golden / NAME
    network = read_network(NcnnFiles(folder / "fp32.param", folder / "fp32.bin", "data", (OUTPUT,)))
    table = read_table(folder / "kl.table")
    written = to_qdq(fp32.path, network, table)
    assert set(written.layers) == set(table.layers)
    suit_onnxruntime(written.model)
    int8 = OnnxFile(tmp_path / "int8.onnx", "data", (OUTPUT,))
    write_atomically(int8.path, written.model.SerializeToString())
    sessions = [OnnxruntimeSession.load(file, 1) for file in (fp32, int8)]
    ncnn = quantize(network, table)
    figures = []
    with NcnnNet.of(ncnn, "data", (OUTPUT,)) as net:
        for path in sorted((folder / "inputs").glob("*.npy")):
            crop = np.load(path)
            exact, got = (session.run(crop)[0] for session in sessions)
            (expected,) = net.run(crop)
            figures.append((db(exact, got), db(exact, expected), db(expected, got)))
    onnxruntime, ncnn_int8, between = np.median(figures, axis=0)
    assert onnxruntime == pytest.approx(ncnn_int8, abs=1)
    assert between > max(onnxruntime, ncnn_int8) + 6


@pytest.mark.slow
@NEEDS_PNNX
def test_an_equalized_network_is_carried_over_whole(
    fp32: OnnxFile, golden: Path, tmp_path: Path
) -> None:
    # BatchNormalizations stand behind its ConvTransposes, which pnnx folds and onnxsim does not.
    files, _ = onnx_to_ncnn(fp32, tmp_path, SHAPE)
    network = read_network(files)
    crops = [np.load(path) for path in sorted((golden / NAME / "inputs").glob("*.npy"))]
    seen, crop = crops[:4], crops[4]
    shapes = blob_shapes(network.param, {files.input: SHAPE})
    ranges = channel_ranges(network, files.input, seen)
    prepared = equalize(network, shapes, files.outputs, ranges).network
    names = [layer.name for layer in int8_layers(prepared)]
    statistics = collect_streaming(prepared, files.input, seen, names, total=len(seen))
    table = calibrate(prepared, statistics, "minmax").table
    exact = _run(onnx.load(fp32.path), crop)
    for kept, nearest in ((table.only([names[20]]), 40), (table, 25)):
        written = to_qdq(fp32.path, network, kept, prepared)
        assert written.layers == kept.layers
        got = _run(written.model, crop)
        int8 = quantize(prepared, kept)
        with NcnnNet.of(int8, files.input, files.outputs) as net:
            (expected,) = net.run(crop)
        assert db(expected, got) > nearest
        assert db(exact, got) == pytest.approx(db(exact, expected), abs=1.0)
    model = onnx.load(fp32.path)
    fold_batch_norms(model.graph, network)
    writing = GraphWriting(model.graph)
    Carrying(model.graph, network, prepared, match_layers(model.graph, network)).write(writing, ())
    writing.finish()
    assert db(exact, _run(model, crop)) > 100


def _run(model: onnx.ModelProto, crop: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output: NDArray[np.float32] = session.run(None, {"data": crop[None]})[0][0]
    return output
