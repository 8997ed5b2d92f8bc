# ruff: noqa: C408, N999 - in the manner of MMPose's configs
"""The embedded default: a small hourglass on the people that quantkit renders.

In the shape of MMPose's td-hm_hourglass52_8xb32-210e_coco-256x256.
"""

custom_imports = dict(imports=["quantkit.demo.backbone"], allow_failed_imports=False)

default_scope = "mmpose"

# codec settings
codec = dict(type="MSRAHeatmap", input_size=(128, 128), heatmap_size=(32, 32), sigma=1.5)

# model settings
model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="NarrowHourglassNet",
        stem_channels=16,
        downsample_times=3,
        num_stacks=1,
        stage_channels=(32, 48, 64, 96),
        stage_blocks=(1, 1, 1, 2),
        feat_channel=64,
    ),
    head=dict(
        type="CPMHead",
        in_channels=64,
        out_channels=17,
        num_stages=1,
        deconv_out_channels=None,
        loss=dict(type="KeypointMSELoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False, shift_heatmap=True),
)

# base dataset settings
dataset_type = "CocoDataset"
data_mode = "topdown"
data_root = "people/"

# pipelines
val_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="PackPoseInputs"),
]

# data loaders
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file="annotations/person_keypoints_val.json",
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    type="CocoMetric", ann_file=data_root + "annotations/person_keypoints_val.json"
)
test_evaluator = val_evaluator
