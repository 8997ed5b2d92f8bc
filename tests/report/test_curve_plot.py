"""The picture of a curve."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.report.plots.curve import draw_curve
from quantkit.stability.recommendation import Recommendation
from tests.stability.made_up import points, report

matplotlib = pytest.importorskip("matplotlib")


def pixels(png: bytes) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.uint8)


def test_it_shows_something_at_the_width_of_the_page_and_is_always_the_same() -> None:
    png = draw_curve(report())
    found = pixels(png)
    assert found.shape[1] == 1440
    ink = (found < 250).any(axis=2)
    assert 0.01 < ink.mean() < 0.6
    assert not ink[0].any()
    assert not ink[-1].any()
    assert draw_curve(report()) == png


def test_the_recommended_size_is_marked() -> None:
    made = report()
    unmarked = replace(made, recommended=Recommendation(None, "none"))
    assert draw_curve(made) != draw_curve(unmarked)


def test_sizes_beyond_half_of_the_pool_are_shaded() -> None:
    shade = (0xF1, 0xF1, 0xF1)

    def share(pool: int) -> float:
        return float((pixels(draw_curve(report(pool=pool))) == shade).all(axis=2).mean())

    assert share(10_000) < 0.001 < 0.02 < share(70)


@pytest.mark.parametrize("value", [None, 0.0, 1e9])
def test_odd_figures_are_drawn_without_a_warning(value: float | None) -> None:
    assert draw_curve(report(points(lambda size, seed: value, lambda size, seed: 1e-6)))


def test_names_that_look_like_formulas_are_text() -> None:
    made = report()
    odd = tuple(replace(one, scales={"$x_{": 1.0 + one.seed}) for one in made.points)
    assert draw_curve(replace(made, points=odd))
