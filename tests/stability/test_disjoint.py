"""Layers on which two tables disagree."""

import pytest

from quantkit.stability.disjoint import compare_disjoint, median_ratio


def test_a_layer_off_by_more_than_the_tolerance_is_named_with_both_scales() -> None:
    first = {"a": 10.0, "b": 10.0, "c": 10.0}
    (found,) = compare_disjoint(first, {"a": 10.9, "b": 12.0, "c": 9.2})
    assert (found.layer, found.first, found.second) == ("b", 10.0, 12.0)
    assert found.ratio == pytest.approx(1.2)


def test_direction_does_not_matter_and_the_worst_comes_first() -> None:
    first, second = {"a": 10.0, "b": 10.0}, {"a": 12.0, "b": 5.0}
    assert [one.layer for one in compare_disjoint(first, second)] == ["b", "a"]
    assert [one.layer for one in compare_disjoint(second, first)] == ["b", "a"]


def test_a_layer_that_one_table_leaves_out_disagrees() -> None:
    found = compare_disjoint({"a": 1.0, "b": 1.0}, {"b": 2.0, "c": 1.0})
    assert [(one.layer, one.first, one.second, one.ratio) for one in found] == [
        ("a", 1.0, None, None),
        ("c", None, 1.0, None),
        ("b", 1.0, 2.0, 2.0),
    ]


def test_the_tolerance_can_be_chosen() -> None:
    assert compare_disjoint({"a": 1.0}, {"a": 1.05}) == ()
    assert len(compare_disjoint({"a": 1.0}, {"a": 1.05}, tolerance=0.01)) == 1


def test_the_median_ratio_is_of_the_layers_of_both() -> None:
    assert median_ratio({"a": 1.0, "b": 1.0, "c": 4.0}, {"a": 2.0, "b": 1.0, "c": 1.0}) == 2.0
    assert median_ratio({"a": 1.0}, {"b": 1.0}) is None
