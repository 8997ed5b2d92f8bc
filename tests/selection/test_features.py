import numpy as np
import pytest

from quantkit.selection import activations as module
from quantkit.selection.features import pooled_features
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
    with pytest.raises(ValueError, match="need at least one array"):
        pooled_features(drawn_activations(3).take([]))
