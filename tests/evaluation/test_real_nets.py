import json
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends import open_runner
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import InputSpec
from quantkit.evaluation.agreement import agreement
from quantkit.evaluation.evaluate import predict, score
from quantkit.evaluation.head import HeadSpec
from quantkit.model.source import NcnnFiles

NETS = {
    "simplepose_256x192": ("data", ("hybridsequential0_conv7_fwd",), HeadSpec()),
    "tinypose_256x192": ("image", ("save_infer_model/scale_0.tmp_1",), HeadSpec()),
    "simcc_small_256x192": (
        "input",
        ("output0", "output1"),
        HeadSpec("simcc", simcc_split_ratio=1.0),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_fp32_ap_is_the_expected_one(real_data: Path, name: str) -> None:
    source, outputs, head = NETS[name]
    models = real_data / "models"
    files = NcnnFiles(models / f"{name}.param", models / f"{name}.bin", source, outputs)
    annotations = real_data / "coco/annotations/person_keypoints_val2017.json"
    dataset = load_dataset(annotations, real_data / "coco/val2017", keypoints=True)
    with open_runner("ncnn", files, threads=2) as runner:
        predictions = predict(runner, dataset, InputSpec((192, 256)), head)
    expected = json.loads((real_data / "expected.json").read_text())
    # The stated tolerance is 0.003; with the exact warp nothing but rounding is left.
    assert score(predictions, dataset).figures.ap == pytest.approx(expected["fp32"][name], abs=3e-4)
    assert np.all(agreement(predictions, predictions, dataset) == 1)
