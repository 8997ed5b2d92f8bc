"""`quantkit quantize` in this process: with a project without its data, and with a pair alone."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.provenance import Provenance, provenance
from quantkit.calibration.table import CalibrationTable
from quantkit.cli import main
from quantkit.model.eligibility import int8_layers, quantized_layers
from quantkit.model.network import Network
from quantkit.model.param import read_param
from quantkit.model.weights import LayerWeights, Record, read_weights
from quantkit.quantization.int8 import quantize
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network, write_pair
from tests.projects import small_project
from tests.quantization.agreement import run, simple_table

NETWORK = small_network(np.random.default_rng(0))
NAMES = [layer.name for layer in int8_layers(NETWORK)]
PAIR = ("--param", "model/net.param", "--size", "48", "64")


def known_provenance_of(network: Network, table: CalibrationTable) -> Provenance:
    calibration = Calibration(table, {}, {}, {})
    return provenance(
        calibration, network, {}, method="kl", calibration_set="a", calibration_set_sha256="b"
    )


def quantkit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    sys.argv = ["quantkit", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return (ended.value.code if isinstance(ended.value.code, int) else 0), *printed


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CalibrationTable:
    """A sound table `t.table` in a project without any of its data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    small_project(tmp_path, images=1)
    for name in ("train", "val"):
        shutil.rmtree(name)
        Path(f"{name}.json").unlink()
    found = simple_table(NETWORK, crop(np.random.default_rng(1)), NAMES)
    Path("t.table").write_text(found.text())
    return found


def test_a_project_needs_no_data(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = quantkit(capsys, "quantize", "./t.table")
    assert code == 0
    assert f"all {len(NAMES)} layers asked for run in int8" in out
    assert quantkit(capsys, "table", "check", "t.table")[0] == 0


def test_a_pair_needs_no_project_and_replaces_nothing_unasked(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("quantkit.toml").unlink()
    code, out, _ = quantkit(capsys, "quantize", "t.table", *PAIR, "--out", "made")
    assert code == 0
    assert f"all {len(NAMES)} layers asked for run in int8" in out
    param = read_param(Path("made/t-int8.param"))
    written = Network(param, read_weights(param, Path("made/t-int8.bin")))
    expected = quantize(NETWORK, CalibrationTable(table.weight_scales, table.activation_scales))
    assert quantized_layers(written) == tuple(NAMES)
    tensor = crop(np.random.default_rng(2))
    np.testing.assert_allclose(run(written, tensor, OUTPUT), run(expected, tensor, OUTPUT), 1e-4)

    Path("t.table").write_text(table.without(["stem"]).text())
    code, _, err = quantkit(capsys, "quantize", "t.table", *PAIR, "--out", "made")
    assert (code, err.count("\n")) == (2, 1)
    assert "--overwrite" in err
    assert read_param(Path("made/t-int8.param")).text() == param.text()
    again = ("quantize", "t.table", *PAIR, "--out", "made", "--overwrite")
    assert quantkit(capsys, *again)[0] == 0


def test_options_that_contradict_each_other_are_refused(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (("--bin", "net.bin"), ("--out", "."), ("--project", ".", *PAIR)):
        code, _, err = quantkit(capsys, "quantize", "./t.table", *wrong)
        assert (code, err.count("\n")) == (2, 1)


def test_weight_lines_alone_make_nothing_int8(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [x for x in table.text().splitlines() if "_param_0" in x]
    Path("t.table").write_text("\n".join(lines) + "\n")
    code, _, err = quantkit(capsys, "quantize", "t.table", *PAIR)
    assert (code, err.count("\n")) == (2, 1)
    assert "has weight lines alone, so no layer becomes int8" in err
    assert not Path("t-int8.param").exists()
    assert quantkit(capsys, "table", "check", "t.table", *PAIR)[0] == 1


def test_a_network_with_nothing_to_quantize_is_said_to_be_so(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("ReLU", "relu", (INPUT,), (OUTPUT,))
    write_pair(net.build(), tmp_path, "idle")
    code, _, err = quantkit(capsys, "quantize", "t.table", "--param", "idle.param")
    assert (code, err.count("\n")) == (2, 1)
    assert "no layer of this network can be int8" in err


def test_zero_scales_of_channels_without_weights_change_no_bit() -> None:
    weights = NETWORK.weights["stem"]
    values = weights["weight"].reshape(16, -1).copy()
    values[3] = values[7] = 0
    records = {**weights.records, "weight": Record(values.reshape(-1), 0)}
    network = NETWORK.replaced({}, {"stem": LayerWeights(records)})
    with np.errstate(divide="ignore"):
        table = simple_table(NETWORK, crop(np.random.default_rng(1)), NAMES)
    outputs = []
    for scale in (0.0, 1.0):
        stem = list(table.weight_scales["stem"])
        stem[3] = stem[7] = scale
        scales = {**table.weight_scales, "stem": tuple(stem)}
        int8 = quantize(network, CalibrationTable(scales, table.activation_scales))
        with NcnnNet.of(int8, INPUT, (OUTPUT,)) as net:
            outputs.append(net.run(crop(np.random.default_rng(2)))[0])
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert outputs[0].std() > 0


def test_a_pair_says_what_cannot_be_said_of_the_table_whatever_its_name(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.table").rename("größe 1.v2.table")
    code, _, err = quantkit(capsys, "quantize", "größe 1.v2.table", *PAIR)
    assert code == 0
    assert "origin unknown (there is no größe 1.v2.json beside it)" in err
    assert Path("größe 1.v2-int8.param").is_file()
    assert Path("größe 1.v2-int8.bin").is_file()


def test_a_pair_is_refused_where_the_json_names_another_network(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = known_provenance_of(NETWORK, table)
    Path("t.json").write_text(replace(origin, network_sha256="0" * 64).text())
    for edited in (False, True):
        if edited:
            Path("t.table").write_text(table.without(NAMES[:1]).text())
        code, _, err = quantkit(capsys, "quantize", "t.table", *PAIR)
        assert code == 2
        assert "t.table: was made for another network than net.param, says t.json" in err
        assert quantkit(capsys, "table", "check", "t.table", *PAIR)[0] == 1
