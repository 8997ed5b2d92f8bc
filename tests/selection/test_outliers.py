from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quantkit.selection.activations import Activations
from quantkit.selection.outliers import FACTOR, Outlier, outliers

Array = NDArray[np.float32]


def of(absmax: Array, readers: int = 1) -> Activations:
    count, blobs = absmax.shape
    layers = tuple(tuple(f"layer{k}.{reader}" for reader in range(readers)) for k in range(blobs))
    names = tuple(f"blob{k}" for k in range(blobs))
    return Activations(names, layers, absmax, np.ones((0, blobs, 48), np.uint16), np.arange(count))


def smooth(count: int, blobs: int, seed: int = 0) -> Array:
    """Values between 1 and 1.2."""
    draw = np.random.default_rng(seed)
    return (1 + 0.2 * draw.random((count, blobs))).astype(np.float32)


def test_a_planted_one_is_found_with_its_layers_and_its_factor() -> None:
    absmax = smooth(60, 6)
    absmax[17, 2], absmax[17, 4] = 3, 10
    rest = np.delete(absmax[:, 4], 17).max()
    (found,) = outliers(of(absmax, readers=2))
    assert (found.index, found.layers) == (
        17,
        ("layer4.0", "layer4.1", "layer2.0", "layer2.1"),
    )
    assert found.factor == pytest.approx(10 / rest)


def test_several_in_one_blob_are_measured_by_those_that_are_none() -> None:
    absmax = smooth(200, 3)
    absmax[[5, 50, 150], 1] = 4, 8, 9
    rest = np.delete(absmax[:, 1], [5, 50, 150]).max()
    found = outliers(of(absmax))
    assert [one.index for one in found] == [150, 50, 5]
    assert [one.factor for one in found] == pytest.approx([9 / rest, 8 / rest, 4 / rest])


def test_one_that_is_less_than_the_factor_above_all_others_is_none() -> None:
    absmax = np.ones((10, 1), np.float32)
    absmax[3] = np.nextafter(np.float32(1.5), np.float32(0))
    assert outliers(of(absmax)) == ()
    absmax[3] = 1.5
    assert outliers(of(absmax)) == (Outlier(3, ("layer0.0",), 1.5),)
    assert outliers(of(absmax), factor=1.6) == ()


@pytest.mark.parametrize(
    ("count", "planted", "there"),
    [(10, 1, 1), (10, 2, 0), (99, 2, 0), (100, 2, 2), (200, 4, 4), (200, 5, 0)],
)
def test_more_than_one_in_fifty_are_a_kind_and_no_outliers(
    count: int, planted: int, there: int
) -> None:
    absmax = smooth(count, 1)
    absmax[:planted] += 5
    assert len(outliers(of(absmax))) == there


def test_a_smooth_pool_has_none_however_heavy_its_tail() -> None:
    ranks = (np.arange(1000) + 0.5) / 1000
    normal = np.array([NormalDist().inv_cdf(rank) for rank in ranks.tolist()])
    rng = np.random.default_rng(0)
    absmax = np.array([np.exp(rng.permutation(normal)) for _ in range(20)], np.float32).T
    assert absmax.max() / np.median(absmax) > 20
    assert outliers(of(absmax)) == ()


def test_few_of_a_pool_that_is_drawn_with_a_heavy_tail_stand_apart() -> None:
    absmax = np.random.default_rng(0).lognormal(0, 0.5, (500, 40)).astype(np.float32)
    assert len(outliers(of(absmax))) < 500 / 50


@pytest.mark.parametrize("count", [1, 2, 100])
def test_blobs_of_zeros_have_none(count: int) -> None:
    assert outliers(of(np.zeros((count, 3), np.float32))) == ()


def test_one_value_among_zeros_stands_apart() -> None:
    absmax = np.zeros((5, 1), np.float32)
    absmax[4] = 0.25
    (found,) = outliers(of(absmax))
    assert (found.index, found.factor > 1e6) == (4, True)


def test_one_candidate_alone_is_none() -> None:
    assert outliers(of(smooth(1, 3))) == ()


value = st.sampled_from([0.0, 1.0, 1.5, 2.25]) | st.floats(0, 1e6, width=32)


@settings(deadline=None, derandomize=True)
@given(arrays(np.float32, st.tuples(st.integers(1, 130), st.integers(1, 3)), elements=value))
def test_those_that_are_found_stand_the_factor_above_all_that_are_not(absmax: Array) -> None:
    found = outliers(of(absmax))
    limited = np.maximum(absmax, 2.0**-24).astype(float)
    factors: dict[int, float] = {}
    for blob, column in enumerate(limited.T):
        apart = {one.index for one in found if f"layer{blob}.0" in one.layers}
        # The most that stand apart from the rest, by their definition.
        ordered = sorted(column.tolist(), reverse=True)
        allowed = range(1, min(max(1, len(column) // 50), len(column) - 1) + 1)
        most = max((k for k in allowed if ordered[k - 1] >= FACTOR * ordered[k]), default=0)
        assert apart == {k for k, one in enumerate(column) if most and one >= ordered[most - 1]}
        for k in apart:
            factors[k] = max(factors.get(k, 0), column[k] / ordered[most])
    assert {one.index: one.factor for one in found} == pytest.approx(factors)
    assert [one.factor for one in found] == sorted(factors.values(), reverse=True)


def test_what_is_written_down_names_person_and_layers() -> None:
    assert Outlier(3, ("b", "a"), 2.34567).to_json(77, "x.jpg") == {
        "annotation_id": 77,
        "file_name": "x.jpg",
        "layers": ["b", "a"],
        "factor": 2.3457,
    }
