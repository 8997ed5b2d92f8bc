import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.selection import activations as module
from quantkit.selection.activations import Activations
from quantkit.selection.activations_coverage import range_coverage
from tests.selection.made_up import activations_of, drawn_activations


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 3)


def plain_shares(found: Activations) -> NDArray[np.float64]:
    return np.array(
        [[blob / sum(blob.tolist()) for blob in found.counts[record]] for record in found.records]
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7])
def test_blocks_hold_every_candidate_once_and_in_order(count: int) -> None:
    rows = list(range(count))
    blocks = [rows[block] for block in drawn_activations(count, 1).blocks()]
    assert [row for block in blocks for row in block] == rows
    assert all(1 <= len(block) <= 3 for block in blocks)


def test_shares_are_those_of_a_blobs_values() -> None:
    found = drawn_activations(7)
    for rows in (slice(0, 3), slice(6, 7), slice(0, 7)):
        assert found.shares(rows) == pytest.approx(plain_shares(found)[rows], rel=1e-6)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_pools_shares_are_the_mean_of_the_candidates(count: int) -> None:
    found = drawn_activations(count)
    assert found.pool_shares() == pytest.approx(plain_shares(found).mean(axis=0), rel=1e-6)


def test_a_candidate_of_whom_more_was_sampled_weighs_no_more() -> None:
    pool = activations_of([[np.array([1.0])], [np.full(99, 3.0)]])
    assert np.flatnonzero(pool.pool_shares()[0] == 0.5).tolist() == [24, 27]


@pytest.mark.parametrize("kept", [[4, 0, 6], [2], []])
def test_those_that_are_taken_stay_as_they_were_in_the_order_asked_for(kept: list[int]) -> None:
    found = drawn_activations(7)
    taken = found.take(kept)
    assert len(taken) == len(kept)
    assert taken.absmax.tolist() == found.absmax[kept].tolist()
    assert taken.shares(slice(None)) == pytest.approx(plain_shares(found)[kept], rel=1e-6)
    assert (taken.blobs, taken.layers) == (found.blobs, found.layers)


def test_taking_twice_takes_of_those_that_were_taken() -> None:
    found = drawn_activations(7)
    twice = found.take([5, 1, 3]).take(np.array([2, 0]))
    assert twice.absmax.tolist() == found.absmax[[3, 5]].tolist()
    assert twice.pool_shares() == pytest.approx(plain_shares(found)[[3, 5]].mean(axis=0), rel=1e-6)


def test_counts_are_not_copied() -> None:
    found = drawn_activations(7)
    assert found.take([3, 1]).counts is found.counts


def test_a_blob_of_zeros_has_all_its_values_in_the_first_half_octave() -> None:
    found = activations_of([[np.zeros(10)], [np.zeros(20)]])
    assert found.pool_shares()[0].tolist() == [1.0] + [0.0] * 47


def test_coverage_compares_the_sets_largest_values_with_the_pools() -> None:
    pool = drawn_activations(20, blobs=9)
    chosen = [3, 4, 11, 17]
    shares = [
        max(pool.absmax[k, blob] for k in chosen) / max(pool.absmax[:, blob]) for blob in range(9)
    ]
    assert range_coverage(pool, chosen) == {
        "blobs": 9,
        "reached": sum(share >= 0.9 for share in shares),
        "median": pytest.approx(sorted(shares)[4], abs=1e-4),
        "worst": pytest.approx(min(shares), abs=1e-4),
    }


def test_nine_tenths_of_a_range_reach_it() -> None:
    tens = [np.full(3, value) for value in (9.0, 8.99, 10.0)]
    pool = activations_of([tens, [np.full(3, 10.0)] * 3])
    assert range_coverage(pool, [0]) == {"blobs": 3, "reached": 2, "median": 0.9, "worst": 0.899}


def test_all_of_the_pool_covers_all_of_its_range() -> None:
    found = range_coverage(drawn_activations(6), range(6))
    assert found == {"blobs": 5, "reached": 5, "median": 1.0, "worst": 1.0}


def test_a_blob_that_is_zero_for_all_is_reached_and_one_that_is_zero_for_the_set_is_not() -> None:
    zero, one = np.zeros(4), np.ones(4)
    pool = activations_of([[zero, zero], [zero, one]])
    assert range_coverage(pool, [0]) == {"blobs": 2, "reached": 1, "median": 0.5, "worst": 0.0}
