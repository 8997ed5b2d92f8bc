"""What a person looks like: skin, hair and clothes, as colours and the parts that they cover."""

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.random import Generator

Color = tuple[float, float, float]
Print = Literal["plain", "stripes", "checks"]

# Blue, green, red; from light to dark.
_SKINS: Final[tuple[Color, ...]] = (
    (190, 208, 238),
    (165, 190, 228),
    (140, 172, 215),
    (120, 152, 198),
    (95, 128, 175),
    (72, 102, 148),
    (55, 78, 115),
    (40, 55, 85),
)
_HAIRS: Final[tuple[Color, ...]] = (
    (22, 22, 26),
    (30, 38, 55),
    (40, 62, 95),
    (60, 100, 140),
    (110, 165, 205),
    (35, 60, 130),
    (165, 165, 170),
)


@dataclass(frozen=True)
class Cloth:
    """One material: its colour (BGR, 0 to 255), what is printed on it, in which colour."""

    color: Color
    printed: Print = "plain"
    ink: Color = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """Skin, hair and clothes of one person.

    Attributes:
        sleeve: Share of the arm that the shirt covers: 0 none, 1 to the elbow, 2 to the wrist.
        leg: The same of the trousers on the leg.
        hair_length: 0 bald, 1 short, 2 to the shoulders.
        extras: Which of `skirt`, `jacket`, `backpack`, `cap`, `beard`, `glasses`, `belt` are worn.
    """

    skin: Cloth
    hair: Cloth
    shirt: Cloth
    trousers: Cloth
    shoes: Cloth
    accent: Cloth
    sleeve: int
    leg: int
    hair_length: int
    extras: frozenset[str]


def draw_look(rng: Generator) -> Look:
    """Draw what one person looks like."""
    skin = _near(_SKINS[int(rng.integers(len(_SKINS)))], 8.0, rng)
    hair = _near(_HAIRS[int(rng.integers(len(_HAIRS)))], 8.0, rng)
    shares = {
        "skirt": 0.14,
        "jacket": 0.2,
        "backpack": 0.1,
        "cap": 0.14,
        "beard": 0.12,
        "glasses": 0.12,
        "belt": 0.25,
    }
    return Look(
        skin=Cloth(skin),
        hair=Cloth(hair),
        shirt=_draw_cloth(rng, prints=True),
        trousers=_draw_cloth(rng, prints=rng.random() < 0.25),
        shoes=_draw_cloth(rng, prints=False),
        accent=_draw_cloth(rng, prints=False),
        sleeve=int(rng.choice(3, p=(0.12, 0.44, 0.44))),
        leg=int(rng.choice(3, p=(0.08, 0.24, 0.68))),
        hair_length=int(rng.choice(3, p=(0.07, 0.58, 0.35))),
        extras=frozenset(name for name, share in shares.items() if rng.random() < share),
    )


def draw_color(rng: Generator) -> Color:
    """Draw a colour as cloth has them: any hue, often pale, dark or grey."""
    hue = rng.integers(180)
    saturation = np.clip(255 * rng.beta(1.2, 1.6), 0, 255)
    value = np.clip(255 * rng.beta(1.7, 1.4), 18, 250)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return float(blue), float(green), float(red)


def _draw_cloth(rng: Generator, *, prints: bool) -> Cloth:
    color = draw_color(rng)
    kind = rng.random()
    if not prints or kind < 0.6:
        return Cloth(color)
    return Cloth(color, "stripes" if kind < 0.85 else "checks", draw_color(rng))


def _near(color: Color, spread: float, rng: Generator) -> Color:
    blue, green, red = np.clip(np.array(color) + rng.normal(0.0, spread, 3), 5, 250)
    return float(blue), float(green), float(red)
