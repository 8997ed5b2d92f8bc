"""`easy_quant` on a trained pose net and real crops."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.compat import calibrate_as_ncnn2table, collect_as_ncnn2table
from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.quantization.int8 import quantize
from quantkit.tuning.easy_quant import easy_quant
from quantkit.tuning.sqnr import Outputs, sqnr_db

Array = NDArray[np.float32]
COARSE = 24
CALIBRATION, JUDGED = 4, 6


@pytest.mark.slow
def test_a_trained_net_comes_closer_to_fp32_than_from_kl(real_data: Path) -> None:
    coco = real_data / "coco"
    boxes = coco / "annotations" / "person_boxes_train2017.json"
    persons = load_dataset(boxes, coco / "train2017", keypoints=False).persons
    tensors = [one.tensor for one in crops(persons[: CALIBRATION + JUDGED], InputSpec((192, 256)))]
    model = real_data / "models" / "simplepose_256x192"
    files = NcnnFiles(
        model.with_suffix(".param"),
        model.with_suffix(".bin"),
        "data",
        ("hybridsequential0_conv7_fwd",),
    )
    network = read_network(files)
    shown, judged = tensors[:CALIBRATION], tensors[CALIBRATION:]
    statistics = collect_as_ncnn2table(network, files.input, lambda: shown, "kl")
    kl = calibrate_as_ncnn2table(network, statistics).table
    found = easy_quant(network, statistics, files.input, shown, steps=COARSE)
    assert found.table.layers == kl.layers
    assert parse_table(found.table.text()) == found.table
    assert all("DeconvolutionDepthWise" in reason for reason in found.left_out.values())
    assert not found.notes

    def sqnr(table: CalibrationTable) -> float:
        int8 = _run(quantize(network, table), files, judged)
        return sqnr_db(_run(network, files, judged), int8)

    assert sqnr(found.table) > sqnr(kl) + 1


def _run(network: Network, files: NcnnFiles, tensors: list[Array]) -> list[Outputs]:
    with NcnnNet(
        network.param_text(), network.bin_bytes(), input=files.input, outputs=files.outputs
    ) as net:
        return [net.run(one) for one in tensors]
