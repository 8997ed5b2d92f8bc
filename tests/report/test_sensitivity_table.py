from dataclasses import replace

from rich.console import Console

from quantkit.report.sensitivity import sensitivity_table
from quantkit.sensitivity.figures import Advice, Effect
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport

LAYER = LayerSensitivity(
    "mobilenetv20_features_linearbottleneck15_conv2_fwd",
    "ConvolutionDepthWise",
    0.331,
    0.2,
    Effect(-12.34, 0.9, 1.0, 0.1234, -0.123, (-0.1234, 0.1234)),
    without=Effect(31.5),
    weights=Effect(135.2),
    activations=Effect(-12.0),
    ms_fp32=12.3,
    ms_int8=0.0214,
    advice=(
        Advice("clips", "It clips.", "another threshold", 1.5),
        Advice("last", "It is the last.", "another threshold", 1.5),
        Advice("fp32", "It gains.", "keep it in fp32", 2.0),
        Advice("inherited", "It inherits.", "begin before it"),
    ),
)
DEAD = LayerSensitivity("dead", "InnerProduct", 0.0, 0.0, Effect(died="SIGSEGV"))
REPORT = SensitivityReport(
    model="net",
    model_sha256="a" * 64,
    table="best",
    table_sha256="b" * 64,
    calibration_set="net-random-128-seed0",
    crops=16,
    ap_crops=64,
    labels="fp32 keypoints",
    all_int8=Effect(21.0, ap_drop=0.01, ap_drop_ci=(0.0, 0.02)),
    layers=(DEAD, LAYER, replace(LAYER, name="quiet", alone=Effect(cosine=1.0), advice=())),
    left_out=(),
    rank_agreement=0.91,
)


def drawn(report: SensitivityReport, worst: int | None = None) -> str:
    console = Console(width=100, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(sensitivity_table(report, worst))
    return captured.get()


def test_every_figure_is_readable_at_a_hundred_columns() -> None:
    text = drawn(REPORT)
    assert max(map(len, text.splitlines())) <= 100
    for figure in (
        *("SIGSEGV", "no noise", "-12.3", "135 / -12", "+10.50", ".1234", "33.1%"),
        *("-.123 [-.123, +.123]", "12.30 .021"),
    ):
        assert figure in text, figure


def test_the_caption_says_what_it_was_measured_on() -> None:
    words = " ".join(drawn(REPORT).split())
    assert "All layers in int8: 21.0 dB, AP drop +.010 [+.000, +.020]." in words
    assert "AP: on 64 of its crops, against the fp32 keypoints as labels." in words
    assert "Rank correlation with their OKS drop: 0.91." in words


def test_a_remedy_is_said_once() -> None:
    text = drawn(REPORT)
    assert "It clips. Remedy: another threshold (measured: +1.50 dB)." in text
    assert "It gains. Remedy: keep it in fp32 (measured: +2.00 dB)." in text
    assert "It is the last" not in text
    assert "It inherits" not in text


def test_only_the_worst_are_shown() -> None:
    text = drawn(replace(REPORT, ap_crops=0, rank_agreement=None), worst=1)
    assert "1 of 3 layers" in text
    assert "quiet" not in text
    assert "What to do" not in text
    assert "AP: on" not in text
