import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from quantkit.selection import activations as module
from quantkit.selection import features
from quantkit.selection.features import pooled_features, squared_distances
from tests.selection.made_up import activations_of, drawn_activations
from tests.selection.plain_features import plain_features


def test_four_numbers_a_blob_are_standardised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    found = pooled_features(drawn_activations(30))
    expected = plain_features(drawn_activations(30))
    assert found.shape == (30, 20)
    # The same columns, which stand in another order.
    alike = np.abs(found.T[:, None] - expected.T[None]).max(axis=2) < 1e-3
    assert alike.sum(axis=0).tolist() == alike.sum(axis=1).tolist() == [1] * 20
    assert found.mean(axis=0) == pytest.approx(np.zeros(20), abs=1e-4)
    assert found.std(axis=0) == pytest.approx(np.ones(20), rel=1e-4)


def test_what_is_alike_for_all_says_nothing() -> None:
    rng = np.random.default_rng(0)
    same = rng.laplace(size=50)
    pool = activations_of([[same, rng.laplace(size=50), np.zeros(9)] for _ in range(6)])
    assert pooled_features(pool).shape[1] <= 4
    assert pooled_features(pool.take([2])).shape == (1, 0)


def test_a_blob_that_is_zero_for_some_sets_them_apart() -> None:
    pool = activations_of([[np.zeros(9)], [np.zeros(9)], [np.ones(9)]])
    points = pooled_features(pool)
    assert np.isfinite(points).all()
    assert points[0].tolist() == points[1].tolist() != points[2].tolist()


def test_nobody_has_no_features() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        pooled_features(drawn_activations(3).take([]))


def test_no_copy_of_all_points_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 64)
    monkeypatch.setattr(features, "_ROWS", 64)
    few = drawn_activations(20, blobs=6)
    # One blob is alike for all: its columns are left out.
    alike = np.concatenate([few.absmax[:, :5], np.ones((20, 1), np.float32)], axis=1)
    pool = replace(few, absmax=alike).take(np.arange(20).repeat(1000))
    tracemalloc.start()
    points = pooled_features(pool)
    for_features = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    squared_distances(points, 3)
    for_distances = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert points.shape == (20_000, 23)
    assert for_features < 1.2 * 16 * 20_000 * 6
    assert for_distances < 16 * 20_000 * 6 + 5e5


def test_distances_are_euclidean_and_squared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_ROWS", 7)
    points = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    expected = [np.linalg.norm(point - points[11]) ** 2 for point in points]
    assert squared_distances(points, 11) == pytest.approx(expected, rel=1e-5)
