"""hourglass52 in full size with random weights: exported, calibrated and run on every CPU backend.

Random weights have no accuracy to lose; what is held is that all backends compute one network.
"""

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends import BackendName, availability, open_runner
from quantkit.backends.export_report import ExportReport
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
from quantkit.evaluation.comparison import Comparison
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.artifacts import backend_artifacts
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.exporting import export_model
from quantkit.project.selection_request import SelectionRequest
from tests.oracles import mmpose_or_skip

FULL_SIZE = "QUANTKIT_FULL_SIZE"
CONFIG = "td-hm_hourglass52_8xb32-210e_coco-256x256"
FP32: tuple[BackendName, ...] = ("pytorch", "onnxruntime", "openvino", "ncnn")
INT8: tuple[BackendName, ...] = ("ncnn-int8", "onnxruntime-int8", "openvino-int8")
PARAMETERS = 94_847_889
IMAGES = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backend,
    pytest.mark.skipif(
        not os.environ.get(FULL_SIZE), reason=f"{FULL_SIZE} is not set: takes two minutes"
    ),
]


@pytest.fixture(scope="module")
def project(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    mmpose_or_skip()
    folder = tmp_path_factory.mktemp("hourglass52")
    coco = real_data / "coco"
    _write_part(coco / "annotations" / "person_keypoints_val2017.json", folder / "val.json")
    (folder / "quantkit.toml").write_text(
        f"""
[model]
name = "hourglass52"
mmpose = {{ config = "{CONFIG}" }}
[data.val]
annotations = "val.json"
images = "{coco}/val2017"
[data.calibration]
annotations = "{coco}/annotations/person_boxes_train2017.json"
images = "{coco}/train2017"
"""
    )
    return load_project(folder)


def _write_part(annotations: Path, target: Path) -> None:
    """Keep the first images that have labelled persons."""
    document = json.loads(annotations.read_text())
    labelled = {one["image_id"] for one in document["annotations"] if one["num_keypoints"]}
    document["images"] = [one for one in document["images"] if one["id"] in labelled][:IMAGES]
    kept = {one["id"] for one in document["images"]}
    document["annotations"] = [one for one in document["annotations"] if one["image_id"] in kept]
    target.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def exported(project: Project) -> ExportReport:
    return export_model(project, Feedback())


@pytest.fixture(scope="module")
def compared(project: Project, exported: ExportReport) -> Comparison:
    calibrate_model(
        project,
        CalibrationRequest(method="kl", selection=SelectionRequest(count=8)),
        exported=exported,
        feedback=Feedback(),
    )
    names = [name for name in (*FP32, *INT8) if availability(name) is None]
    return evaluate_backends(project, backends=names, table="kl", feedback=Feedback())


def test_every_step_of_the_export_keeps_the_outputs(exported: ExportReport) -> None:
    assert exported.ncnn.bin.stat().st_size > 4 * 0.98 * PARAMETERS
    assert len(exported.steps) == 3
    for step in exported.steps:
        assert step.difference is not None
        assert step.difference.relative < 1e-5


def test_the_outputs_on_real_crops_agree_on_every_backend(
    project: Project, exported: ExportReport
) -> None:
    del exported
    persons = load_dataset(project.val.annotations, project.val.images, keypoints=True).persons
    shown = [crop.tensor for crop in islice(crops(persons, project.input), 3)]
    artifacts = backend_artifacts(project, FP32, "kl", 2, Feedback())
    outputs = {}
    for name in FP32:
        artifact = artifacts[name]
        assert not isinstance(artifact, str)
        with open_runner(name, artifact) as runner:
            outputs[name] = np.stack([result[0] for result in runner.stream(shown)])
    reference = outputs["pytorch"]
    for name in FP32[1:]:
        difference = np.abs(outputs[name] - reference).max() / np.ptp(reference)
        assert difference < 1e-3, name


def test_every_backend_has_its_row_with_time_and_size(compared: Comparison) -> None:
    assert [row.backend for row in compared.failed()] == []
    for row in compared.rows:
        assert row.ms_per_instance is not None
        assert row.ms_per_instance > 1
        assert row.description is not None
    for name in FP32:
        agreement = compared.row(name).oks_vs_baseline
        assert agreement is not None
        assert agreement > 0.999


def test_int8_takes_a_quarter_of_the_bytes(compared: Comparison) -> None:
    full = compared.row("ncnn").size_mb
    assert full is not None
    for name in INT8:
        size = compared.row(name).size_mb
        assert size is not None
        assert 0.2 < size / full < 0.3
