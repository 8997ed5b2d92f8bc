"""A trained network with ncnn2table's own table, in ONNX Runtime and in ncnn."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.onnxruntime import OnnxruntimeSession
from quantkit.calibration.table import read_table
from quantkit.model.export.simplify import repair_onnx, simplify_onnx
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles, OnnxFile
from quantkit.quantization import quantize
from quantkit.quantization.qdq import to_qdq
from quantkit.quantization.qdq_onnxruntime import suit_onnxruntime
from quantkit.storage import write_atomically

NAME = "simplepose_256x192"
OUTPUT = "hybridsequential0_conv7_fwd"


def sqnr(signal: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """In decibels."""
    return float(10 * np.log10(np.square(signal).sum() / np.square(signal - other).sum()))


@pytest.mark.slow
def test_two_runtimes_in_int8_are_nearer_to_each_other_than_to_fp32(
    real_data: Path, golden: Path, tmp_path: Path
) -> None:
    given = OnnxFile(real_data / "models" / f"{NAME}.onnx", "data", (OUTPUT,))
    mended, _ = repair_onnx(given, tmp_path / "mended.onnx")
    fp32, _ = simplify_onnx(mended, tmp_path / "fp32.onnx", (3, 256, 192))
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
    with NcnnNet(ncnn.param_text(), ncnn.bin_bytes(), input="data", outputs=(OUTPUT,)) as net:
        for path in sorted((folder / "inputs").glob("*.npy")):
            crop = np.load(path)
            exact, got = (session.run(crop)[0] for session in sessions)
            (expected,) = net.run(crop)
            figures.append((sqnr(exact, got), sqnr(exact, expected), sqnr(expected, got)))
    onnxruntime, ncnn_int8, between = np.median(figures, axis=0)
    assert onnxruntime == pytest.approx(ncnn_int8, abs=1)
    assert between > max(onnxruntime, ncnn_int8) + 6
