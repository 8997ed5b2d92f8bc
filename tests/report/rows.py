"""An evaluation of made-up figures: a baseline, int8, and a backend that cannot run."""

from quantkit.evaluation.coco_ap import CocoFigures
from quantkit.evaluation.comparison import Comparison, Row
from quantkit.evaluation.oks import KEYPOINT_NAMES

FIGURES = CocoFigures(0.7171, 0.894, 0.79, 0.681, None, 0.774, 0.933, 0.841, 0.7, None)

LABELLED = {name: 0.5 + k / 100 for k, name in enumerate(KEYPOINT_NAMES)} | {"left_ear": None}
SIMILAR = {name: 0.9 + k / 1000 for k, name in enumerate(KEYPOINT_NAMES)}

BASELINE = Row(
    "pytorch",
    "fp32",
    ap_drop=0.0,
    ap_drop_ci=(0.0, 0.0),
    oks=0.81,
    oks_drop=0.0,
    oks_vs_baseline=1.0,
    keypoint_oks=LABELLED,
    keypoint_oks_vs_baseline=dict.fromkeys(KEYPOINT_NAMES, 1.0),
    ms_per_instance=12.5,
    size_mb=3.87,
    description="torch 2.13.0, CPU; ms on 2 threads",
).with_figures(FIGURES)

INT8 = Row(
    "ncnn-int8",
    "int8",
    ap_drop=0.0042,
    ap_drop_ci=(-0.001, 0.0091),
    oks=0.8,
    oks_drop=0.01,
    oks_vs_baseline=0.98765,
    keypoint_oks=LABELLED,
    keypoint_oks_vs_baseline=SIMILAR,
    ms_per_instance=4.0,
    size_mb=1.1,
    description="ncnn 1.0, fp16 off",
).with_figures(CocoFigures(0.7129, 0.892, 0.787, 0.67, None, 0.771, 0.932, 0.84, 0.69, None))

ABSENT = Row("tensorrt", "fp32", status="unavailable", reason="needs 'tensorrt' | a GPU")

COMPARISON = Comparison(
    model="hourglass|small",
    input_size=(192, 256),
    dataset="person_keypoints_val2017.json",
    instances=6352,
    boxes="gt",
    nms="none",
    baseline="pytorch",
    table="kl",
    versions={"numpy": "1.26.4", "ncnn": "1.0"},
    rows=(BASELINE, INT8, ABSENT),
)
