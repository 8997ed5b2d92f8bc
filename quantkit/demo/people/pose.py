"""What a person does: joint angles, drawn at random around a handful of everyday poses."""

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from numpy.random import Generator

Activity = Literal[
    "standing", "walking", "running", "sitting", "squatting", "bending", "stretching", "lying"
]
ACTIVITIES: Final[tuple[Activity, ...]] = get_args(Activity)
_ACTIVITY_SHARES: Final = (0.37, 0.21, 0.08, 0.14, 0.05, 0.07, 0.05, 0.03)

ArmGesture = Literal["hanging", "hip", "forward", "up", "sideways", "folded", "face"]
ARM_GESTURES: Final[tuple[ArmGesture, ...]] = get_args(ArmGesture)
_GESTURE_SHARES: Final = (0.42, 0.12, 0.13, 0.12, 0.09, 0.07, 0.05)


@dataclass(frozen=True)
class Limb:
    """Angles of one arm or leg in degrees; all zero is a limb that hangs straight down.

    Attributes:
        flexion: Raises the limb to the front.
        abduction: Raises it to its own side.
        rotation: Turns it about its own axis, inwards.
        bend: Bends the elbow to the front or the knee to the back.
    """

    flexion: float
    abduction: float
    rotation: float
    bend: float


@dataclass(frozen=True)
class Pose:
    """All joint angles of one person in degrees.

    Attributes:
        activity: What the angles were drawn for.
        spine: Bow to the front, lean to the right, twist to the left.
        head: The same three of the head, relative to the chest.
        arms: Left and right arm.
        legs: Left and right leg.
        tilt: How far the whole body lies on its side, 0 for upright.
    """

    activity: Activity
    spine: tuple[float, float, float]
    head: tuple[float, float, float]
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    tilt: float


def draw_pose(rng: Generator) -> Pose:
    """Draw the pose of one person."""
    activity = ACTIVITIES[int(rng.choice(len(ACTIVITIES), p=_ACTIVITY_SHARES))]
    pose = _upright(activity, rng)
    match activity:
        case "standing":
            return pose
        case "walking":
            return _stride(pose, rng, swing=(12.0, 38.0), elbow=(5.0, 35.0))
        case "running":
            return _stride(pose, rng, swing=(35.0, 60.0), elbow=(60.0, 110.0))
        case "sitting":
            return _seated(pose, rng, hip=(70.0, 100.0), knee=(55.0, 110.0), bow=(-12.0, 25.0))
        case "squatting":
            return _seated(pose, rng, hip=(80.0, 120.0), knee=(90.0, 140.0), bow=(10.0, 45.0))
        case "bending":
            return _bowed(pose, rng)
        case "stretching":
            return _stretched(pose, rng)
        case "lying":
            side = 1.0 if rng.random() < 0.5 else -1.0
            return replace(pose, tilt=side * rng.uniform(65.0, 105.0))


def _upright(activity: Activity, rng: Generator) -> Pose:
    bow = rng.normal(4.0, 5.0)
    return Pose(
        activity=activity,
        spine=(bow, rng.normal(0.0, 5.0), rng.normal(0.0, 9.0)),
        head=(rng.normal(4.0 - 0.5 * bow, 10.0), rng.normal(0.0, 7.0), rng.normal(0.0, 24.0)),
        arms=(_draw_arm(rng), _draw_arm(rng)),
        legs=(_draw_leg(rng), _draw_leg(rng)),
        tilt=0.0,
    )


def _draw_leg(rng: Generator) -> Limb:
    bend = abs(rng.normal(0.0, 9.0))
    return Limb(
        flexion=rng.normal(0.5 * bend, 6.0),
        abduction=rng.uniform(-1.0, 13.0),
        rotation=rng.normal(-8.0, 8.0),
        bend=bend,
    )


def _draw_arm(rng: Generator) -> Limb:
    gesture = ARM_GESTURES[int(rng.choice(len(ARM_GESTURES), p=_GESTURE_SHARES))]
    uniform = rng.uniform
    match gesture:
        case "hanging":
            return Limb(rng.normal(0, 14), uniform(3, 22), rng.normal(15, 20), uniform(2, 40))
        case "hip":
            return Limb(uniform(-35, 0), uniform(30, 50), uniform(55, 90), uniform(75, 105))
        case "forward":
            return Limb(uniform(40, 100), uniform(-10, 20), uniform(-20, 30), uniform(0, 70))
        case "up":
            return Limb(uniform(120, 175), uniform(0, 35), uniform(-20, 40), uniform(0, 90))
        case "sideways":
            return Limb(uniform(-15, 25), uniform(60, 115), uniform(-40, 40), uniform(0, 80))
        case "folded":
            return Limb(uniform(10, 35), uniform(0, 15), uniform(45, 80), uniform(85, 120))
        case "face":
            return Limb(uniform(35, 70), uniform(5, 30), uniform(15, 45), uniform(115, 145))


def _stride(
    pose: Pose, rng: Generator, swing: tuple[float, float], elbow: tuple[float, float]
) -> Pose:
    reach = rng.uniform(*swing) * (1.0 if rng.random() < 0.5 else -1.0)
    legs = tuple(_stepping_leg(rng, angle) for angle in (reach, -reach))
    arms = tuple(
        Limb(-sign * 0.8 * reach, rng.uniform(3.0, 15.0), rng.uniform(0, 30), rng.uniform(*elbow))
        for sign in (1.0, -1.0)
    )
    kept = [rng.random() < 0.35, rng.random() < 0.35]
    return replace(
        pose,
        spine=(pose.spine[0] + 0.12 * abs(reach), pose.spine[1], pose.spine[2]),
        legs=(legs[0], legs[1]),
        arms=(pose.arms[0] if kept[0] else arms[0], pose.arms[1] if kept[1] else arms[1]),
    )


def _stepping_leg(rng: Generator, angle: float) -> Limb:
    trailing = max(0.0, -angle)
    bend = rng.uniform(0.0, 18.0) + trailing * rng.uniform(0.4, 1.5)
    return Limb(angle, rng.uniform(-2.0, 6.0), rng.normal(0.0, 6.0), bend)


def _seated(
    pose: Pose,
    rng: Generator,
    hip: tuple[float, float],
    knee: tuple[float, float],
    bow: tuple[float, float],
) -> Pose:
    flexion, bend, spread = rng.uniform(*hip), rng.uniform(*knee), rng.uniform(0.0, 24.0)
    legs = tuple(
        Limb(
            flexion + rng.normal(0.0, 8.0),
            spread + rng.normal(0.0, 4.0),
            rng.normal(0.0, 8.0),
            max(0.0, bend + rng.normal(0.0, 12.0)),
        )
        for _ in range(2)
    )
    return replace(
        pose,
        spine=(rng.uniform(*bow), pose.spine[1], pose.spine[2]),
        legs=(legs[0], legs[1]),
    )


def _bowed(pose: Pose, rng: Generator) -> Pose:
    bow = rng.uniform(30.0, 85.0)
    arms = tuple(
        Limb(
            rng.uniform(20.0, 110.0), rng.uniform(0.0, 20.0), rng.normal(0, 20), rng.uniform(0, 50)
        )
        for _ in range(2)
    )
    head = (rng.uniform(-0.6, 0.1) * bow, pose.head[1], pose.head[2])
    return replace(
        pose, spine=(bow, pose.spine[1], pose.spine[2]), head=head, arms=(arms[0], arms[1])
    )


def _stretched(pose: Pose, rng: Generator) -> Pose:
    arms = tuple(
        Limb(rng.uniform(-20, 40), rng.uniform(60, 165), rng.normal(0, 25), rng.uniform(0, 60))
        for _ in range(2)
    )
    legs = tuple(
        Limb(rng.normal(0, 12), rng.uniform(8, 42), rng.normal(-8, 8), rng.uniform(0, 35))
        for _ in range(2)
    )
    return replace(pose, arms=(arms[0], arms[1]), legs=(legs[0], legs[1]))
