import json
from pathlib import Path

import pytest

from quantkit.errors import InputError
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport, read_report

REPORT = SensitivityReport(
    model="net",
    model_sha256="a" * 64,
    table="kl",
    table_sha256="b" * 64,
    calibration_set="net-random-4-seed0",
    crops=4,
    all_int8_sqnr_db=None,
    layers=(
        LayerSensitivity("dead", "Convolution", 0.25, None, "SIGSEGV"),
        LayerSensitivity("conv", "Convolution", 0.5, 21.25),
        LayerSensitivity("still", "InnerProduct", 0.25, None),
    ),
    left_out=("head",),
)


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "sensitivity.json").write_text(REPORT.text())
    assert read_report(tmp_path / "sensitivity.json") == REPORT


def test_every_figure_of_the_schema_is_there(tmp_path: Path) -> None:
    (first, *_) = json.loads(REPORT.text())["layers"]
    assert set(first) == {
        *("name", "type", "macs_share", "sqnr_db", "died", "oks_drop", "ap_drop", "ap_drop_ci"),
        *("ms_fp32", "ms_int8", "recommended"),
    }


def test_layers_that_crash_come_first_and_those_without_noise_last() -> None:
    assert sorted(REPORT.layers, key=lambda layer: layer.rank_key) == list(REPORT.layers)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 2}', '{"schema": 1, "layers": [1]}'])
def test_another_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=r"s\.json: (is not a sensitivity report|has schema 2)"):
        read_report(tmp_path / "s.json")
