"""The whole way from an image to keypoints, beside MMPose's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantkit.demo
from quantkit.backends import open_runner
from quantkit.data.preprocess import InputSpec
from quantkit.evaluation.evaluate import predict
from quantkit.evaluation.head import HeadSpec
from quantkit.model.source import MMPoseSource
from quantkit.project import load_project
from quantkit.project.starting import start_from_mmpose
from tests.coco_folder import load_coco_folder
from tests.mmpose_configs import HEATMAP
from tests.oracles import mmpose_or_skip

pytestmark = [pytest.mark.slow, pytest.mark.backend, pytest.mark.filterwarnings("ignore")]

DEMO = Path(quantkit.demo.__file__).parent / "hourglass_small_coco-people_128x128.py"
SIMCC_CODEC = "dict(type='SimCCLabel', input_size=(64, 96), sigma=6.0, simcc_split_ratio=2.0)"
SIMCC_HEAD = """dict(
        type='SimCCHead', in_channels=64, out_channels=17, input_size=codec['input_size'],
        in_featuremap_size=(2, 3), simcc_split_ratio=2.0, deconv_out_channels=None,
        loss=dict(type='KLDiscretLoss', use_target_weight=True), decoder=codec)"""


def _changed(*changes: tuple[str, str]) -> str:
    text = HEATMAP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


_HEAD = HEATMAP[HEATMAP.index("head=") + len("head=") : HEATMAP.index(",\n    test_cfg")]
_CODEC = HEATMAP[HEATMAP.index("codec = ") + len("codec = ") : HEATMAP.index("\nmodel")]

CONFIGS = {
    "heatmap": HEATMAP,
    "heatmap unshifted": _changed(("shift_heatmap=True", "shift_heatmap=False")),
    "simcc": _changed((_HEAD, SIMCC_HEAD), (_CODEC, SIMCC_CODEC)),
    "udp combined": _changed(
        ("type='MSRAHeatmap'", "type='UDPHeatmap', heatmap_type='combined'"),
        ("out_channels=17", "out_channels=51"),
        ("'heatmap', shift_heatmap=True", "'udp_combined', shift_heatmap=False"),
        ("KeypointMSELoss", "CombinedTargetMSELoss"),
    ),
    "trained": "",
}


def _mmpose_keypoints(
    source: MMPoseSource, dataset: Any, *, flip_test: bool
) -> tuple[Any, list[int]]:
    from mmengine.registry import init_default_scope
    from mmpose.datasets import CocoDataset

    from quantkit.model.mmlab import build_pose_model
    from quantkit.model.mmlab.config import load_config

    init_default_scope("mmpose")
    config = load_config(source.config)
    samples = CocoDataset(
        ann_file=str(dataset.annotations),
        data_prefix={"img": str(dataset.images)},
        pipeline=config.get("val_pipeline") or config.val_dataloader.dataset.pipeline,
        test_mode=True,
    )
    model = build_pose_model(source)
    model.test_cfg["flip_test"] = flip_test
    answers = []
    for sample in samples:
        batch = {"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]}
        answers += model.test_step(batch)
    keypoints = [answer.pred_instances.keypoints[0] for answer in answers]
    return np.array(keypoints), [int(answer.id) for answer in answers]


@pytest.mark.parametrize("name", CONFIGS)
def test_keypoints_are_mmposes_with_and_without_the_flip_test(tmp_path: Path, name: str) -> None:
    mmpose_or_skip()
    dataset = load_coco_folder(tmp_path / "coco")
    config, checkpoint = tmp_path / "config.py", None
    config.write_text(CONFIGS[name])
    if name == "trained":
        config, checkpoint = DEMO, DEMO.with_suffix(".pth")
    source = MMPoseSource(str(config), checkpoint, seed=3)
    answers = []
    with open_runner("pytorch", source, threads=1) as runner:
        for flip_test in (False, True):
            expected, order = _mmpose_keypoints(source, dataset, flip_test=flip_test)
            spec, head = _project_spec(tmp_path, source, flip_test=flip_test)
            found = predict(runner, dataset, spec, head).select(order)
            assert np.abs(found.keypoints - expected).max() < 1e-4
            answers.append(found.keypoints)
    assert np.abs(answers[0] - answers[1]).max() > 0.1


def _project_spec(
    folder: Path, source: MMPoseSource, *, flip_test: bool
) -> tuple[InputSpec, HeadSpec]:
    """Take the input and the head from the project file that `quantkit init` writes."""
    text = start_from_mmpose(source.config, source.checkpoint, folder).text()
    path = folder / "quantkit.toml"
    # The crop that equals MMPose's to the byte.
    path.write_text(text.replace("[input]", '[input]\nwarp = "opencv"'))
    project = load_project(path, flip_test=flip_test)
    return project.input, project.head
