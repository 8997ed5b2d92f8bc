import json
from pathlib import Path

import pytest

from quantkit.errors import InputError
from quantkit.sensitivity.figures import Advice, Effect, Signal
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport, read_report

MEASURED = Effect(21.25, 0.99, 0.5, 0.01, 0.02, (-0.01, 0.04), peak_noise_db=20.5)
REPORT = SensitivityReport(
    model="net",
    model_sha256="a" * 64,
    table="kl",
    table_sha256="b" * 64,
    calibration_set="net-random-4-seed0",
    crops=4,
    ap_crops=16,
    labels="labels",
    all_int8=Effect(died="SIGSEGV"),
    layers=(
        LayerSensitivity("dead", "Convolution", 0.25, 0.5, Effect(died="SIGSEGV")),
        LayerSensitivity(
            "conv",
            "Convolution",
            0.5,
            0.25,
            MEASURED,
            without=Effect(12.5, 0.9, 1.0, 0.2),
            weights=Effect(30.0),
            activations=Effect(22.0),
            own=Signal(25.0, 0.999),
            inherited=Signal(10.0, 0.9),
            in_int8=Signal(9.5, 0.89),
            ms_fp32=0.2,
            ms_int8=0.1,
            recommended="fp32",
            advice=(Advice("range", "few channels", "equalize", 1.5),),
        ),
        LayerSensitivity("still", "InnerProduct", 0.25, 0.25, Effect(cosine=1.0)),
    ),
    left_out=("head",),
    rank_agreement=0.95,
    search={"tried": 3},
)


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "sensitivity.json").write_text(REPORT.text())
    assert read_report(tmp_path / "sensitivity.json") == REPORT


def test_a_report_without_the_95th_percentile_is_read(tmp_path: Path) -> None:
    value = json.loads(REPORT.text())
    for layer in value["layers"]:
        del layer["peak_shift_p95_px"]
    (tmp_path / "sensitivity.json").write_text(json.dumps(value))
    assert read_report(tmp_path / "sensitivity.json") == REPORT


def test_every_figure_of_the_schema_is_there() -> None:
    (first, *_) = json.loads(REPORT.text())["layers"]
    assert set(first) == {
        *("name", "type", "macs_share", "weights_share", "sqnr_db", "cosine", "peak_shift_px"),
        *("oks_drop", "ap_drop", "ap_drop_ci", "died", "without", "weights", "activations"),
        *(
            "peak_noise_db",
            "peak_shift_p95_px",
            "own",
            "inherited",
            "in_int8",
            "ms_fp32",
            "ms_int8",
            "recommended",
            "advice",
        ),
    }


def test_layers_that_crash_come_first_and_those_without_noise_last() -> None:
    assert sorted(REPORT.layers, key=lambda layer: layer.rank_key) == list(REPORT.layers)


def test_the_gain_is_counted_from_the_whole_network_in_int8() -> None:
    layer = REPORT.layers[1]
    assert layer.gain_db(Effect(10.0)) == 2.5
    assert layer.gain_db(Effect(died="SIGSEGV")) is None
    assert REPORT.layers[0].gain_db(Effect(10.0)) is None


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 3}', '{"schema": 3, "layers": [1]}'])
def test_another_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=r"s\.json: (is not a sensitivity report|has schema 3)"):
        read_report(tmp_path / "s.json")
