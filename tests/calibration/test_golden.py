"""ncnn2table's own tables, from its own inputs."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.model.eligibility import int8_layers
from quantkit.model.graph import Graph
from quantkit.model.network import read_network
from quantkit.model.param import read_param
from quantkit.model.source import NcnnFiles

NETS = ("small_96x96", "simplepose_256x192", "tinypose_256x192")


def calibrated(folder: Path) -> CalibrationTable:
    param = read_param(folder / "fp32.param")
    source = param.layers[0].tops[0]
    files = NcnnFiles(folder / "fp32.param", folder / "fp32.bin", source, Graph(param).outputs)
    network = read_network(files)
    paths = [folder / line for line in (folder / "inputs.txt").read_text().split()]
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect(network, source, lambda: map(np.load, paths), names)
    return calibrate(network, statistics, "kl", keep_hazards=True, levels="ncnn2table").table


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_kl_tables_are_ncnn2tables(golden: Path, net: str) -> None:
    ours = calibrated(golden / net)
    theirs = read_table(golden / net / "kl.table")
    assert ours.weight_scales == theirs.weight_scales
    assert list(ours.activation_scales) == list(theirs.activation_scales)
    off = {
        name: (ours.activation_scales[name], scale)
        for name, scale in theirs.activation_scales.items()
        if abs(ours.activation_scales[name] / scale - 1) > 1e-4
    }
    assert len(off) <= 0.05 * len(theirs.activation_scales), off
