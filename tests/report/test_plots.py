"""The pictures: that there is something on them, always the same, whatever the names."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.report.pictures import PICTURES, draw_pictures
from quantkit.report.plots.drop_axis import SMALL, drop_range, set_drop_axis
from quantkit.report.plots.drops import draw_drops
from quantkit.report.plots.figure import Figure, picture
from quantkit.report.plots.histograms import draw_histograms
from quantkit.report.plots.pareto import draw_pareto, front
from quantkit.report.plots.ranking import WORST, draw_ranking
from quantkit.report.plots.weights import draw_weights
from quantkit.sensitivity.figures import Effect
from tests.report.measured import contents, ranking, search, view
from tests.report.rows import COMPARISON, INT8

matplotlib = pytest.importorskip("matplotlib")

ORANGE = (0, 94, 213)


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return draw_pictures(contents())


def pixels(png: bytes) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.uint8)


def count(png: bytes, color: tuple[int, int, int]) -> int:
    return int((pixels(png) == color).all(axis=2).sum())


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_shows_something_at_the_width_of_the_page(
    drawn: dict[str, bytes], name: str
) -> None:
    found = pixels(drawn[name])
    assert found.shape[1] == 1440
    ink = (found < 250).any(axis=2)
    assert 0.01 < ink.mean() < 0.6
    # Nothing is cut off: the edges are empty, but for a label that ends right there.
    assert not ink[0].any()
    assert not ink[-1].any()
    assert len(np.unique(found.astype(np.uint32) @ (1, 256, 65536))) > 50


def test_a_picture_depends_on_neither_the_date_nor_a_users_matplotlibrc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = draw_drops(COMPARISON)
    monkeypatch.setitem(matplotlib.rcParams, "axes.linewidth", 31.0)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert draw_drops(COMPARISON) == first
    assert matplotlib.rcParams["axes.linewidth"] == 31.0
    assert b"tIME" not in first
    assert b"Software" not in first


def test_there_is_no_picture_of_what_was_not_measured() -> None:
    nothing = replace(contents(), comparison=None, ranking=None, search=None, views=(), curve=None)
    assert draw_pictures(nothing) == {}
    unlabelled = replace(COMPARISON, rows=(replace(INT8, ap=None, ap_drop=None, ap_drop_ci=None),))
    assert draw_pictures(replace(nothing, comparison=unlabelled)) == {}
    assert set(draw_pictures(replace(nothing, ranking=ranking(WORST)))) == {"ranking.png"}


@pytest.mark.parametrize(
    "values",
    [(), (0.004,), (-0.03, 0.05), (0.6, 0.001), (-0.9, 1.0), (0.119, 0.0), (0.004, 5.0)],
)
@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_drop_of_four_thousandths_is_at_least_ten_pixels_long(
    values: tuple[float, ...], axis: str
) -> None:
    lengths = []

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        set_drop_axis(axes, values, axis="x" if axis == "x" else "y")
        figure.draw_without_rendering()
        ends = axes.transData.transform([(0, 0), (SMALL, SMALL)])
        lengths.append((ends[1] - ends[0])["xy".index(axis)])

    picture(7, 3, draw)
    assert lengths[0] >= 10
    low, high, _ = drop_range(values)
    assert all(low <= value <= high for value in values if abs(value) <= 1)


def test_the_interval_of_a_drop_is_as_long_as_it_is() -> None:
    wide = replace(INT8, ap_drop_ci=(-0.004, 0.012))
    narrow = replace(INT8, ap_drop_ci=(0.004, 0.0044))
    base = COMPARISON.rows[0]
    lines = [
        count(draw_drops(replace(COMPARISON, rows=(base, wide, row))), ORANGE)
        for row in (wide, narrow)
    ]
    assert lines[0] > lines[1] + 500


@pytest.mark.parametrize(
    "draw",
    [
        lambda: draw_ranking(ranking(2)),
        lambda: draw_ranking(replace(ranking(6), all_int8=Effect(died="SIGSEGV"))),
        lambda: draw_histograms([view(threshold=9.0)]),
        lambda: draw_histograms([view()] * 3),
        lambda: draw_weights([replace(view(), weight_absmax=np.zeros(4, np.float32))]),
        lambda: draw_pareto(replace(search(), tried=search().tried[:1])),
        lambda: draw_pareto(
            replace(search(), tried=tuple(replace(t, median_ms=None) for t in search().tried))
        ),
    ],
)
def test_odd_measurements_are_drawn_without_a_warning(draw: Callable[[], bytes]) -> None:
    assert (pixels(draw()) < 250).any()


def test_what_the_threshold_clips_is_shaded_and_counted() -> None:
    clipping, whole = view(threshold=2.0), view(threshold=4.5)
    shade = (222, 233, 247)  # what orange at 13 % leaves of white, about
    near = np.abs(pixels(draw_histograms([clipping])).astype(int) - shade).max(axis=2) < 8
    assert near.mean() > 0.1
    inside = np.abs(np.random.default_rng(0).normal(0, 1, 10_000))
    expected = ((inside >= 2.0) & (inside <= 4)).sum() / (inside <= 4).sum() / 2
    assert clipping.clipped_share == pytest.approx(expected, rel=1e-9)
    assert clipping.clipped == f"{expected:.3%}"
    assert (whole.clipped_share, whole.clipped) == (0, "nothing")


def test_a_front_holds_what_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in rng.integers(0, 12, (40, 2))]
    kept = {points[k] for k in front(points)}
    beaten = {
        one for one in points if any(o != one and o[0] <= one[0] and o[1] <= one[1] for o in points)
    }
    assert kept == set(points) - beaten
