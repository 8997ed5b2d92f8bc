"""The file of a curve: there and back, and nothing else."""

import copy
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.stability.report import CurveReport, parse_curve, read_curve
from tests.stability.made_up import POOL, SEEDS, points, report

OUTLIER = {"annotation_id": 5, "file_name": "a.jpg", "layers": ["stem"], "factor": 1.8}


def test_a_report_reads_back(tmp_path: Path) -> None:
    made = report(outliers=[OUTLIER])
    path = tmp_path / "curve.json"
    path.write_text(made.text())
    found = read_curve(path)
    assert found == made
    assert found.text() == made.text()
    assert found.summaries == made.summaries


def test_the_json_sums_each_size_up() -> None:
    def scale(size: int, seed: int) -> float:
        return 10.0 + seed

    value = report(points(lambda size, seed: size + seed**2, scale)).to_json()
    one = value["summaries"][1]
    squares = [16 + seed**2 for seed in SEEDS]
    assert (one["size"], one["shared"]) == (16, 16 / POOL)
    assert one["sqnr_db"]["mean"] == pytest.approx(statistics.mean(squares))
    assert one["sqnr_db"]["deviation"] == pytest.approx(statistics.stdev(squares))
    spread = statistics.stdev(10.0 + seed for seed in SEEDS) / 12
    assert one["scale_spreads"] == {"stem": 0.0, "head": pytest.approx(spread)}
    assert one["median_scale_spread"] == pytest.approx(spread / 2)
    assert one["worst_layer"] == "head"


def test_a_figure_that_one_table_lacks_has_no_mean() -> None:
    made = report(points(lambda size, seed: None if (size, seed) == (8, 0) else 20.0))
    assert [one.sqnr_db is None for one in made.summaries] == [True, False, False, False]
    assert parse_curve(made.to_json()) == made


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("schema",), 2, "no curve of schema 1"),
        (("pool",), "many", "curve.pool must be a whole number, got 'many'"),
        (("pool",), 3, "at least the largest size, got 3"),
        (("labels",), "none", "curve.labels must be one of labels, fp32 keypoints"),
        (("sizes",), 8, "curve.sizes must be a list"),
        (("sizes",), [8, 16, 64, 32], "one for each"),
        (("points", 3, "sqnr_db"), "20", r"curve.points\[3\].sqnr_db must be a number"),
        (("points", 3, "ap_drop_ci"), [0.1], r"curve.points\[3\].ap_drop_ci must be a list of 2"),
        (("points", 0, "scales", "stem"), 0, "scales must be above 0"),
        (("points", 0, "scales"), [], r"curve.points\[0\].scales must be an object"),
        (("points", 0, "seed"), 9, "one for each"),
        (("disjoint", 0, "disagreements", 1, "ratio"), True, "ratio must be a number, got True"),
        (("disjoint", 0, "disagreements", 1, "ratio"), 0, "ratios must be above 0"),
        (("seeds",), [], "one for each"),
        (("outliers", 0, "layers"), "stem", r"curve.outliers\[0\].layers must be a list"),
        (("outliers", 0), {}, r"curve.outliers\[0\]: 'annotation_id' is missing"),
        (("fp32_ap",), float("nan"), "must be a finite number"),
        (("fp32_ap",), 10**400, "must be a finite number"),
    ],
)
def test_what_is_wrong_is_named(place: tuple[Any, ...], value: object, said: str) -> None:
    document = report(outliers=[OUTLIER]).to_json()
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(InputError, match=said):
        parse_curve(document)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    document = report().to_json()
    del document["points"][2]["scales"]
    path = tmp_path / "curve.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"curve\.json: curve\.points\[2\]: 'scales' is missing"):
        read_curve(path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


DOCUMENT = report(outliers=[OUTLIER]).to_json()
PLACES = places(DOCUMENT)


@given(st.sampled_from(PLACES), ANYTHING)
def test_any_json_is_a_report_or_an_error(place: tuple[Any, ...], value: object) -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    else:
        document = value
    try:
        found = parse_curve(document)
    except InputError:
        return
    assert isinstance(found, CurveReport)
