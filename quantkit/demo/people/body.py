"""A skeleton with flesh and clothes on: each part is the hull of a few spheres in one material."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.demo.people.clothing import Cloth, Look
from quantkit.demo.people.rotation import Array
from quantkit.demo.people.skeleton import SIDES, Skeleton


@dataclass(frozen=True)
class Part:
    """The hull of spheres, drawn as one shaded shape.

    Attributes:
        name: Which part of the body this is; a part such as a jacket has the name of the part that
            it lies on, so that the keypoints under it count as visible.
        cloth: Its material.
        centers: Body frame, shape (n, 3).
        radii: Shape (n,).
        shaded: Whether light falls on it; small marks such as eyes are flat.
    """

    name: str
    cloth: Cloth
    centers: Array
    radii: Array
    shaded: bool = True


def body_parts(skeleton: Skeleton, look: Look) -> tuple[Part, ...]:
    """Build all parts of one person, in no particular order."""
    parts = [*_trunk(skeleton, look), *_head(skeleton, look)]
    for side, _, _ in SIDES:
        parts += [*_arm(skeleton, look, side), *_leg(skeleton, look, side)]
    return tuple(parts)


def _part(
    name: str,
    cloth: Cloth,
    centers: Sequence[Array],
    radii: Sequence[float],
    *,
    shaded: bool = True,
) -> Part:
    return Part(name, cloth, np.stack(centers), np.array(radii, np.float64), shaded)


def _trunk(skeleton: Skeleton, look: Look) -> Iterator[Part]:
    build, joints = skeleton.build, skeleton.joints
    girth = build.girth
    hips = [joints["left_hip"], joints["right_hip"]]
    up = skeleton.pelvis @ np.array([0.0, 0.3 * build.torso, 0.0])
    waist = [0.9 * point + up for point in hips]
    shoulders = [joints["left_shoulder"], joints["right_shoulder"]]
    front = skeleton.chest @ np.array([0.0, -0.22 * build.torso, 0.03 * girth])
    chest = [0.78 * (point - joints["neck"]) + joints["neck"] + front for point in shoulders]
    yield _part(
        "trunk",
        look.shirt,
        [*shoulders, *chest, *waist],
        [0.040 * girth, 0.040 * girth, *[0.058 * girth] * 2, *[0.052 * girth] * 2],
    )
    yield _part("trunk", look.trousers, [*hips, *waist], [0.062 * girth] * 2 + [0.05 * girth] * 2)
    if "belt" in look.extras:
        yield _part(
            "trunk", look.accent, [0.75 * up + point for point in hips], [0.045 * girth] * 2
        )
    if "skirt" in look.extras:
        yield _skirt(skeleton, look)
    yield from _outerwear(skeleton, look)


def _skirt(skeleton: Skeleton, look: Look) -> Part:
    joints, girth = skeleton.joints, skeleton.build.girth
    hem = [
        joints[f"{side}_hip"] + 0.75 * (joints[f"{side}_knee"] - joints[f"{side}_hip"])
        for side in ("left", "right")
    ]
    hips = [joints["left_hip"], joints["right_hip"]]
    return _part("skirt", look.trousers, [*hips, *hem], [0.064 * girth] * 2 + [0.066 * girth] * 2)


def _outerwear(skeleton: Skeleton, look: Look) -> Iterator[Part]:
    joints, build = skeleton.joints, skeleton.build
    neck, chest = joints["neck"], skeleton.chest
    if "jacket" in look.extras:
        lining = [
            neck + chest @ np.array([0.0, drop * build.torso, 0.072 * build.girth])
            for drop in (-0.08, -0.8)
        ]
        yield _part("trunk", look.accent, lining, [0.022, 0.030], shaded=False)
    if "backpack" in look.extras:
        corners = [
            neck + chest @ np.array([side * 0.05, drop * build.torso, -0.105 * build.girth])
            for side in (-1.0, 1.0)
            for drop in (-0.2, -0.75)
        ]
        yield _part("pack", look.accent, corners, [0.045] * 4)


def _head(skeleton: Skeleton, look: Look) -> Iterator[Part]:
    joints, build, skull = skeleton.joints, skeleton.build, skeleton.skull
    head, r = joints["head"], build.head

    def at(x: float, y: float, z: float) -> Array:
        point: Array = head + r * (skull @ np.array([x, y, z]))
        return point

    yield _part("neck", look.skin, [joints["neck"], at(0, -0.5, -0.1)], [0.036, 0.033])
    yield _part("head", look.skin, [at(0, 0.2, 0), at(0, -0.6, 0.38)], [0.92 * r, 0.55 * r])
    if "beard" in look.extras:
        beard = [at(0.3, -0.75, 0.62), at(-0.3, -0.75, 0.62), at(0, -0.95, 0.6)]
        yield _part("head", look.hair, beard, [0.3 * r, 0.3 * r, 0.3 * r])
    yield from _face(skeleton, look)
    yield from _hair(skeleton, look)


def _hair(skeleton: Skeleton, look: Look) -> Iterator[Part]:
    head, r, skull = skeleton.joints["head"], skeleton.build.head, skeleton.skull

    def at(x: float, y: float, z: float) -> Array:
        point: Array = head + r * (skull @ np.array([x, y, z]))
        return point

    if look.hair_length:
        crown = [at(0, 0.34, -0.12), at(0, -0.1, -0.36)]
        yield _part("hair", look.hair, crown, [1.0 * r, 0.85 * r])
        yield _part("hair", look.hair, [at(0.3, 0.95, 0.42), at(-0.3, 0.95, 0.42)], [0.3 * r] * 2)
    if look.hair_length == 2:
        nape = [
            at(0.4, 0.2, -0.4),
            at(-0.4, 0.2, -0.4),
            at(0.5, -1.3, -0.55),
            at(-0.5, -1.3, -0.55),
        ]
        yield _part("hair", look.hair, nape, [0.7 * r, 0.7 * r, 0.45 * r, 0.45 * r])
    if "cap" in look.extras:
        crown = [at(0, 0.55, -0.05), at(0, 0.62, 0.1)]
        yield _part("hair", look.accent, crown, [0.98 * r, 0.85 * r])
        brim = [at(0.45, 0.7, 0.95), at(-0.45, 0.7, 0.95), at(0, 0.65, 1.45)]
        yield _part("hair", look.accent, brim, [0.14 * r] * 3)


def _face(skeleton: Skeleton, look: Look) -> Iterator[Part]:
    joints, r, skull = skeleton.joints, skeleton.build.head, skeleton.skull
    skin = np.array(look.skin.color)
    blue, green, red = 0.8 * skin + np.array([0.0, 0.0, 18.0])
    ruddy = Cloth((blue, green, red))
    out = 0.06 * r * (skull @ np.array([0.0, 0.0, 1.0]))
    bridge = joints["nose"] + r * (skull @ np.array([0.0, 0.3, -0.2]))
    yield _part("nose", ruddy, [joints["nose"], bridge], [0.17 * r, 0.09 * r], shaded=False)
    mouth = [joints["head"] + r * (skull @ np.array([x, -0.62, 0.93])) for x in (-0.25, 0.25)]
    yield _part("mouth", Cloth((60.0, 50.0, 135.0)), mouth, [0.08 * r] * 2, shaded=False)
    for side, _, sign in SIDES:
        eye, ear = joints[f"{side}_eye"], joints[f"{side}_ear"]
        yield _part(f"{side}_eye", Cloth((225.0, 228.0, 230.0)), [eye], [0.19 * r], shaded=False)
        yield _part(f"{side}_eye", Cloth((30.0, 25.0, 22.0)), [eye + out], [0.12 * r], shaded=False)
        lobe = ear + r * (skull @ np.array([0.05 * sign, -0.25, 0.0]))
        yield _part(f"{side}_ear", ruddy, [ear, lobe], [0.2 * r, 0.14 * r])
    if "glasses" in look.extras:
        rim = Cloth((25.0, 25.0, 25.0))
        eyes = [joints["left_eye"] + 2 * out, joints["right_eye"] + 2 * out]
        yield _part("nose", rim, eyes, [0.06 * r] * 2, shaded=False)


def _arm(skeleton: Skeleton, look: Look, side: str) -> Iterator[Part]:
    joints, girth = skeleton.joints, skeleton.build.girth
    shoulder, elbow, wrist, hand = (
        joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")
    )
    upper = look.shirt if look.sleeve >= 1 else look.skin
    fore = look.shirt if look.sleeve == 2 else look.skin
    yield _part(f"{side}_upper_arm", upper, [shoulder, elbow], [0.041 * girth, 0.030 * girth])
    yield _part(f"{side}_forearm", fore, [elbow, wrist], [0.029 * girth, 0.021 * girth])
    yield _part(f"{side}_hand", look.skin, [wrist, hand], [0.019 * girth, 0.024])


def _leg(skeleton: Skeleton, look: Look, side: str) -> Iterator[Part]:
    joints, girth = skeleton.joints, skeleton.build.girth
    hip, knee, ankle, toe = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
    upper = look.trousers if look.leg >= 1 else look.skin
    lower = look.trousers if look.leg == 2 and "skirt" not in look.extras else look.skin
    yield _part(f"{side}_thigh", upper, [hip, knee], [0.066 * girth, 0.043 * girth])
    yield _part(f"{side}_shin", lower, [knee, ankle], [0.043 * girth, 0.027 * girth])
    yield _part(f"{side}_foot", look.shoes, [ankle, toe], [0.029 * girth, 0.022])
