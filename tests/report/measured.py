"""What a model measured in every way looks like, made up."""

from dataclasses import replace

import numpy as np

from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.report.contents import Missing, ReportContents
from quantkit.report.layer_view import LayerView
from quantkit.sensitivity.figures import Advice, Effect
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport
from quantkit.sensitivity.search_report import Bounds, Confirmation, SearchReport, Tried
from quantkit.stability.report import CurveReport
from tests.report.rows import COMPARISON
from tests.stability import made_up

HOSTILE = '<script>alert("1")</script>'
FORMULA = "$\\frac{a$"
LONG = "mobilenetv20_features_linearbottleneck15_conv2_fwd_with_a_tail"
DEAD = "dead"
ADVICE = Advice("clips", f"{HOSTILE} clips.", "another threshold", 1.5)


def layers(count: int) -> tuple[LayerSensitivity, ...]:
    """Make a ranking with a layer of every kind at its beginning."""
    names = [DEAD, HOSTILE, FORMULA, LONG, "層", *(f"conv_{k}" for k in range(count))][:count]
    types = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
    made = [
        LayerSensitivity(
            name,
            types[k % 3],
            1 / count,
            1 / count,
            Effect(10.0 + k, 0.9, 0.1, 0.01, peak_noise_db=30.0 + k),
            without=Effect(20.0 + 1 / (k + 1)),
        )
        for k, name in enumerate(names)
    ]
    made[0] = replace(made[0], alone=Effect(died="SIGSEGV"), without=None)
    drop = replace(made[1].alone, ap_drop=0.004, ap_drop_ci=(-0.001, 0.009))
    made[1] = replace(made[1], alone=drop, advice=(ADVICE,))
    made[-1] = replace(made[-1], alone=Effect(cosine=1.0))
    return tuple(made)


def ranking(count: int = 30) -> SensitivityReport:
    return SensitivityReport(
        model="net",
        model_sha256="a" * 64,
        table="best",
        table_sha256="b" * 64,
        calibration_set="net-random-128-seed0",
        crops=16,
        ap_crops=64,
        labels="labels",
        all_int8=Effect(20.0, ap_drop=0.01, ap_drop_ci=(0.0, 0.02)),
        layers=layers(count),
        left_out=("first",),
        rank_agreement=0.91,
    )


def view(name: str = HOSTILE, threshold: float = 3.0) -> LayerView:
    rng = np.random.default_rng(0)
    histogram = np.histogram(np.abs(rng.normal(0, 1, 10_000)), BINS, (0, 4))[0].astype(np.int64)
    weights = np.append(rng.uniform(0.01, 1, 31), 0).astype(np.float32)
    levels = np.append(np.full(31, 127), 0)
    seen = BlobStatistics(4.0, histogram, 20_000, 10_000, -4.0, 4.0, (16, 8, 8))
    return LayerView(
        name, "Convolution", 8, seen, threshold, {"kl": 2.0, "mse": 3.5}, weights, levels
    )


def search() -> SearchReport:
    def effect(sqnr: float, drop: float) -> Effect:
        return Effect(sqnr, 0.99, 0.2, 0.02, drop, (drop - 0.004, drop + 0.004))

    tried = (
        Tried("fp32", 0, 1.0, 5.0, median_ms=10.0, ratio=1.0),
        Tried(
            "all int8", 9, 0.0, 6.0, 0, effect(17, 0.01), "17 dB are less than 25", 12.0, 11.0, 1.2
        ),
        Tried(
            "int8 where it pays",
            5,
            0.3,
            4.0,
            0,
            effect(26, 0.001),
            None,
            8.0,
            7.9,
            0.8,
            pareto=True,
        ),
        Tried("fewer", 4, 0.4, 4.2, 0, effect(27, 0.0015)),
    )
    return SearchReport(
        model="net",
        base="best",
        bounds=Bounds(),
        machine={"cpu": "a phone"},
        layer_noise=0.01,
        network_noise=0.01,
        claim=0.03,
        persons=128,
        labels="labels",
        layers=(),
        tried=tried,
        chosen="int8 where it pays",
        why="the fastest of 2 that hold the bounds",
        table="mixed",
        table_sha256="c" * 64,
        key="k",
        confirmed=Confirmation("val.json", 340, 0.7, 0.001, (-0.002, 0.003), 0.98),
    )


def curve() -> CurveReport:
    """Make a curve whose worst layer, and one that disjoint sets disagree on, have bad names."""
    made = made_up.report()
    points = [
        replace(one, scales={HOSTILE: 10.0 + one.seed, LONG: 20.0, FORMULA: 1.0})
        for one in made.points
    ]
    outlier = {"annotation_id": 5, "file_name": HOSTILE, "layers": [FORMULA], "factor": 1.8}
    return made_up.report(points, outliers=[outlier])


def contents(count: int = 30) -> ReportContents:
    return ReportContents(
        model="net",
        comparison=COMPARISON,
        ranking=ranking(count),
        search=search(),
        views=(view(), view(LONG, 5.0)),
        curve=curve(),
        missing=(Missing("the weather", "not measured", "quantkit look --out"),),
        versions={"quantkit": "0.1.0"},
    )
