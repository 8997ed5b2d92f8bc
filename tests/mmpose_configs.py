"""A small MMPose config for tests: a narrow ResNet with a heatmap head."""

from pathlib import Path

HEATMAP = """
codec = dict(type='MSRAHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=2)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        type='ResNet', depth=18, stem_channels=8, base_channels=8, deep_stem=False,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    head=dict(
        type='HeatmapHead', in_channels=64, out_channels=17,
        deconv_out_channels=(16, 16, 16), deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.2),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
]
"""


def write_heatmap_config(folder: Path, name: str = "td-hm_tiny.py") -> Path:
    """Write the config; its input is (3, 96, 64), its heatmaps (17, 24, 16)."""
    path = folder / name
    path.write_text(HEATMAP)
    return path
