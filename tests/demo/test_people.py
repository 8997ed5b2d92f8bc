"""The renderer: the same bytes every time, and annotations that agree with the picture."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.demo.people import render
from quantkit.demo.people.annotate import annotate
from quantkit.demo.people.body import body_parts
from quantkit.demo.people.camera import Camera
from quantkit.demo.people.clothing import draw_look
from quantkit.demo.people.figure import Figure, paint_figure
from quantkit.demo.people.paint import Canvas
from quantkit.demo.people.pose import Limb, Pose
from quantkit.demo.people.rotation import Array, about_y
from quantkit.demo.people.scene import SPLITS, Split
from quantkit.demo.people.skeleton import draw_build, place_joints
from quantkit.evaluation.flip import COCO_FLIP_INDICES
from quantkit.evaluation.oks import KEYPOINT_NAMES
from quantkit.storage import sha256_bytes

# Of the picture and of its annotations; record anew (and raise dataset.VERSION) when the renderer
# is changed on purpose.
GOLDEN = {
    ("train", 0): "13a39dda9bc6d563",
    ("calibration", 3): "c2ad46d885d01a64",
    ("val", 7): "263a62644af816a4",
}


def digest(split: Split, index: int) -> str:
    picture = render(split, index)
    persons = "".join(f"{p.keypoints.tolist()}{p.box}{p.area}" for p in picture.persons)
    return sha256_bytes(picture.image.tobytes() + persons.encode())[:16]


@pytest.mark.skipif(
    not cv2.__version__.startswith("4."), reason="recorded with OpenCV 4, which quantkit[all] has"
)
@pytest.mark.parametrize(("split", "index"), GOLDEN)
def test_a_picture_has_the_recorded_bytes(split: Split, index: int) -> None:
    assert digest(split, index) == GOLDEN[split, index]


def test_streams_and_pictures_differ() -> None:
    digests = [digest(split, index) for split, index in itertools.product(SPLITS, range(4))]
    assert len(set(digests)) == len(digests)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(SPLITS), st.integers(0, 100_000))
def test_annotations_are_consistent(split: Split, index: int) -> None:
    picture = render(split, index)
    height, width = picture.image.shape[:2]
    for person in picture.persons:
        x, y, w, h = person.box
        assert w > 0
        assert h > 0
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        assert 0 < person.area <= w * h
        assert set(person.keypoints[:, 2]) <= {0.0, 1.0, 2.0}
        labelled = person.keypoints[person.keypoints[:, 2] > 0]
        assert (labelled[:, :2] >= -0.5).all()
        assert (labelled[:, :2] <= (width - 0.5, height - 0.5)).all()
        assert not person.keypoints[person.keypoints[:, 2] == 0, :2].any()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 100_000))
def test_visible_keypoints_lie_in_the_box(index: int) -> None:
    for person in render("train", index).persons:
        x, y, w, h = person.box
        seen = person.keypoints[person.keypoints[:, 2] == 2, :2]
        # A keypoint may be seen up to the two painted pixels next to it, which is one pixel here.
        assert (seen >= np.array([x, y]) - 2.0).all()
        assert (seen <= np.array([x + w, y + h]) + 2.0).all()


def standing(yaw: float, seed: int = 3, *, covered: bool = False) -> dict[str, Array]:
    """Paint one person who stands upright, arms away from the body, seen from `yaw` degrees."""
    rng = np.random.default_rng(seed)
    arm, leg = Limb(0, 35, 0, 10), Limb(0, 10, 0, 0)
    pose = Pose("standing", (0, 0, 0), (0, 0, 0), (arm, arm), (leg, leg), 0)
    skeleton = place_joints(pose, draw_build(rng))
    camera = Camera(about_y(yaw), 5.0, 300.0, (256.0, 192.0))
    figure = Figure(skeleton, body_parts(skeleton, draw_look(rng)), camera, 1)
    canvas = Canvas(np.zeros((400, 512, 3), np.uint8), np.zeros((400, 512), np.int32))
    paint_figure(canvas, figure, (0.6, -0.6))
    if covered:
        canvas.owners[200:] = 0
    person = annotate(canvas.owners, figure, 1)
    assert person is not None
    return dict(zip(KEYPOINT_NAMES, person.keypoints, strict=True))


@pytest.mark.parametrize("part", ["eye", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"])
def test_left_is_on_the_right_of_the_picture_from_the_front_and_not_from_the_back(
    part: str,
) -> None:
    front, back = standing(0.0), standing(180.0)
    assert front[f"left_{part}"][0] > front[f"right_{part}"][0]
    assert back[f"left_{part}"][0] < back[f"right_{part}"][0]


def test_the_face_is_seen_from_the_front_only() -> None:
    face = ("nose", "left_eye", "right_eye")
    assert [standing(0.0)[name][2] for name in face] == [2, 2, 2]
    assert [standing(180.0)[name][2] for name in face] == [1, 1, 1]


def test_the_far_shoulder_and_hip_are_hidden_from_the_side() -> None:
    seen_from_left = standing(-90.0)
    for part in ("shoulder", "hip"):
        assert seen_from_left[f"left_{part}"][2] == 2
        assert seen_from_left[f"right_{part}"][2] == 1


def test_what_something_else_hides_is_not_labelled() -> None:
    whole, half = standing(0.0), standing(0.0, covered=True)
    assert whole["left_knee"][2] == 2
    assert half["left_knee"].tolist() == [0, 0, 0]
    assert half["left_shoulder"][2] == 2


def test_head_is_above_hips_above_ankles() -> None:
    seen = standing(30.0)
    assert seen["nose"][1] < seen["left_hip"][1] < seen["left_knee"][1] < seen["left_ankle"][1]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(-60, 120), st.floats(0, 90), st.floats(0, 140))
def test_bones_keep_their_length_in_any_pose(
    seed: int, flexion: float, abduction: float, bend: float
) -> None:
    build = draw_build(np.random.default_rng(seed))
    limb = Limb(flexion, abduction, 20.0, bend)
    pose = Pose("standing", (10, 5, 5), (0, 0, 0), (limb, limb), (limb, limb), 30)
    joints = place_joints(pose, build).joints
    for side in ("left", "right"):
        for first, last, bone in (
            ("shoulder", "elbow", "upper_arm"),
            ("elbow", "wrist", "forearm"),
            ("hip", "knee", "thigh"),
            ("knee", "ankle", "shin"),
        ):
            distance = np.linalg.norm(joints[f"{side}_{first}"] - joints[f"{side}_{last}"])
            assert distance == pytest.approx(getattr(build, bone))


def test_a_mirrored_person_has_mirrored_names() -> None:
    for name, partner in zip(KEYPOINT_NAMES, COCO_FLIP_INDICES, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert KEYPOINT_NAMES[partner] == swapped
