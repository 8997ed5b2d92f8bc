"""A person's build and the joints that a pose puts in space (forward kinematics)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from quantkit.demo.people.pose import Limb, Pose
from quantkit.demo.people.rotation import Array, about_x, about_y, about_z

SIDES: Final = (("left", 0, 1.0), ("right", 1, -1.0))
_DOWN: Final = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Build:
    """Lengths and half widths of the body; 1 is about the stature of an adult."""

    torso: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    head: float
    girth: float


@dataclass(frozen=True)
class Skeleton:
    """Where the joints are, in the body frame (x left, y up, z front; pelvis at the origin).

    Attributes:
        joints: Points of shape (3,) by name: the COCO keypoints, `neck`, `head`, hands and toes.
        chest: Rotation of the chest, shape (3, 3).
        pelvis: Rotation of the pelvis, shape (3, 3).
        skull: Rotation of the head, shape (3, 3).
        build: The lengths.
    """

    joints: Mapping[str, Array]
    chest: Array
    pelvis: Array
    skull: Array
    build: Build


def draw_build(rng: Generator) -> Build:
    """Draw the build of one person, from slim to stout and from child to adult."""
    size = rng.uniform(0.72, 0.86) if rng.random() < 0.15 else rng.uniform(0.92, 1.08)
    girth = float(np.clip(rng.normal(1.0, 0.17), 0.7, 1.5))
    limb = size * rng.uniform(0.93, 1.07)
    return Build(
        torso=0.290 * size * rng.uniform(0.94, 1.06),
        shoulder=0.108 * size * rng.uniform(0.9, 1.12),
        hip=0.057 * size * rng.uniform(0.9, 1.12) * girth**0.3,
        upper_arm=0.168 * limb,
        forearm=0.145 * limb,
        thigh=0.240 * limb,
        shin=0.235 * limb,
        head=0.072 * size**0.4 * rng.uniform(0.92, 1.08),
        girth=size * girth,
    )


def place_joints(pose: Pose, build: Build) -> Skeleton:
    """Put the joints in space.

    Args:
        pose: Joint angles.
        build: Lengths of the bones.

    Returns:
        The joints in the body frame.
    """
    pelvis = about_z(pose.tilt)
    bow, lean, twist = pose.spine
    chest = pelvis @ about_y(twist) @ about_z(lean) @ about_x(bow)
    nod, tip, turn = pose.head
    skull = chest @ about_y(turn) @ about_z(tip) @ about_x(nod)
    neck = chest @ np.array([0.0, build.torso, 0.0])
    head = neck + chest @ np.array([0.0, 0.03, 0.008]) + skull @ np.array([0.0, build.head, 0.012])
    joints = {"neck": neck, "head": head} | _face(head, skull, build)
    for side, index, sign in SIDES:
        shoulder = neck + chest @ np.array([sign * build.shoulder, -0.022, 0.0])
        joints |= _arm(side, sign, shoulder, chest, pose.arms[index], build)
        hip = pelvis @ np.array([sign * build.hip, 0.0, 0.0])
        joints |= _leg(side, sign, hip, pelvis, pose.legs[index], build)
    return Skeleton(joints, chest, pelvis, skull, build)


def _face(head: Array, skull: Array, build: Build) -> dict[str, Array]:
    r = build.head
    points = {"nose": head + skull @ np.array([0.0, -0.15 * r, 1.12 * r])}
    for side, _, sign in SIDES:
        points[f"{side}_eye"] = head + skull @ np.array([sign * 0.38 * r, 0.17 * r, 0.90 * r])
        points[f"{side}_ear"] = head + skull @ np.array([sign * 0.93 * r, 0.0, -0.05 * r])
    return points


def _arm(
    side: str, sign: float, shoulder: Array, chest: Array, limb: Limb, build: Build
) -> dict[str, Array]:
    upper = (
        chest
        @ about_z(sign * limb.abduction)
        @ about_x(-limb.flexion)
        @ about_y(-sign * limb.rotation)
    )
    fore = upper @ about_x(-limb.bend)
    elbow = shoulder + build.upper_arm * (upper @ _DOWN)
    wrist = elbow + build.forearm * (fore @ _DOWN)
    hand = wrist + 0.26 * build.forearm * (fore @ _DOWN)
    return {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_hand": hand,
    }


def _leg(
    side: str, sign: float, hip: Array, pelvis: Array, limb: Limb, build: Build
) -> dict[str, Array]:
    upper = (
        pelvis
        @ about_z(sign * limb.abduction)
        @ about_x(-limb.flexion)
        @ about_y(-sign * limb.rotation)
    )
    lower = upper @ about_x(limb.bend)
    knee = hip + build.thigh * (upper @ _DOWN)
    ankle = knee + build.shin * (lower @ _DOWN)
    toe = ankle + 0.38 * build.shin * (lower @ np.array([0.0, -0.30, 0.95]))
    return {
        f"{side}_hip": hip,
        f"{side}_knee": knee,
        f"{side}_ankle": ankle,
        f"{side}_toe": toe,
    }
