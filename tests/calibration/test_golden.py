"""ncnn2table's own tables, from its own inputs."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.compat import (
    CompatMethod,
    calibrate_as_ncnn2table,
    collect_as_ncnn2table,
)
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.model.graph import Graph
from quantkit.model.network import read_network
from quantkit.model.param import read_param
from quantkit.model.source import NcnnFiles

NETS = ("small_96x96", "simplepose_256x192", "tinypose_256x192")


def calibrated(folder: Path, method: CompatMethod) -> CalibrationTable:
    param = read_param(folder / "fp32.param")
    source = param.layers[0].tops[0]
    files = NcnnFiles(folder / "fp32.param", folder / "fp32.bin", source, Graph(param).outputs)
    network = read_network(files)
    paths = [folder / line for line in (folder / "inputs.txt").read_text().split()]
    statistics = collect_as_ncnn2table(network, source, lambda: map(np.load, paths), method)
    return calibrate_as_ncnn2table(network, statistics, method).table


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", ["kl", "aciq"])
def test_tables_are_ncnn2tables(golden: Path, net: str, method: CompatMethod) -> None:
    ours = calibrated(golden / net, method)
    theirs = read_table(golden / net / f"{method}.table")
    assert ours.weight_scales == theirs.weight_scales
    assert list(ours.activation_scales) == list(theirs.activation_scales)
    off = {
        name: (ours.activation_scales[name], scale)
        for name, scale in theirs.activation_scales.items()
        if abs(ours.activation_scales[name] / scale - 1) > 1e-4
    }
    # The forwards of the tool and of the wheel may differ in the last bit, which decides a near-tie
    # of divergences.
    assert len(off) <= (0.05 if method == "kl" else 0.0) * len(theirs.activation_scales), off
    lines = [(golden / net / f"{method}.table").read_text().splitlines(), ours.text().splitlines()]
    differing = {ours.split()[0] for ours, theirs in zip(*lines, strict=True) if ours != theirs}
    # Weights need no forward: their lines are equal to the byte on every processor.
    assert differing <= set(ours.activation_scales)
