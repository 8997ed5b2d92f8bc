import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.calibrate import Calibration, calibrate
from quantkit.calibration.provenance import Provenance, provenance, read_provenance, write_table
from quantkit.calibration.statistics import collect
from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.storage import sha256_file
from tests.nets import INPUT, crop, small_network


def made(seed: int = 1) -> tuple[Calibration, Provenance]:
    network = small_network(np.random.default_rng(0))
    rng = np.random.default_rng(seed)
    crops = [crop(rng), crop(rng)]
    statistics = collect(network, INPUT, lambda: crops, [x.name for x in int8_layers(network)])
    calibration = calibrate(network, statistics, "kl")
    origin = provenance(
        calibration,
        network,
        statistics,
        method="kl",
        calibration_set="first-2",
        calibration_set_sha256="0" * 64,
    )
    return calibration, origin


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return made()[0]


@pytest.fixture(scope="module")
def origin() -> Provenance:
    return made()[1]


def test_two_runs_write_the_same_bytes(origin: Provenance) -> None:
    assert made()[1].text() == origin.text()


def test_table_and_provenance_are_read_back_as_they_were(
    tmp_path: Path, calibration: Calibration, origin: Provenance
) -> None:
    table = tmp_path / "tables" / "kl.table"
    write_table(table, calibration, origin)
    assert read_table(table) == calibration.table
    assert read_provenance(table.with_suffix(".json")) == origin
    assert origin.table_sha256 == sha256_file(table)


def test_every_layer_has_its_range(calibration: Calibration, origin: Provenance) -> None:
    layers = json.loads(origin.text())["layers"]
    assert list(layers) == list(calibration.table.layers)
    head = layers["head"]
    assert head["blob"] == "joined"
    assert head["scale"] == calibration.table.activation_scales["head"]
    assert 127 / head["threshold"] == pytest.approx(head["scale"], rel=1e-5)
    assert head["absmax"] == max(-head["minimum"], head["maximum"])
    assert head["count"] == 2 * 48 * 16 * 12
    assert 0 < head["zero_fraction"] < 1


def test_it_holds_versions_but_no_date_and_no_path(origin: Provenance) -> None:
    document = json.loads(origin.text())
    assert {"quantkit", "ncnn", "numpy", "opencv"} <= set(document["versions"])
    assert str(Path.cwd()) not in origin.text()
    assert not {"date", "time", "host", "path"} & set(document)


@pytest.mark.parametrize("kept", ["kl.table", "kl.json"])
def test_when_one_file_must_not_be_replaced_neither_is(
    tmp_path: Path, calibration: Calibration, origin: Provenance, kept: str
) -> None:
    (tmp_path / kept).write_text("mine")
    with pytest.raises(InputError, match=rf"{kept}: exists with other content"):
        write_table(tmp_path / "kl.table", calibration, origin)
    assert [path.name for path in tmp_path.iterdir()] == [kept]
    assert (tmp_path / kept).read_text() == "mine"
    write_table(tmp_path / "kl.table", calibration, origin, overwrite=True)
    assert read_provenance(tmp_path / "kl.json") == origin


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "layers": 3}'],
)
def test_another_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "kl.json").write_text(text)
    with pytest.raises(InputError, match=r"kl\.json: .*calibrate again"):
        read_provenance(tmp_path / "kl.json")


def test_a_field_that_is_missing_is_refused(tmp_path: Path, origin: Provenance) -> None:
    document = json.loads(replace(origin).text())
    del document["method"]
    (tmp_path / "kl.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"kl\.json: is damaged .*method.*; calibrate again"):
        read_provenance(tmp_path / "kl.json")
