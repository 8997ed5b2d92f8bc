"""A hundred thousand candidates: what choosing among them takes, beside running the network."""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from quantkit.data.coco import Person
from quantkit.selection.activation_records import ActivationRecords, Rows, record_dtype
from quantkit.selection.activations import Activations
from quantkit.selection.candidates import Candidates
from quantkit.selection.strategies import STRATEGIES, strategy_named
from tests.selection.seen import made_up

CANDIDATES = int(os.environ.get("QUANTKIT_CANDIDATES", "100000"))
BLOBS = 56
COUNT = 128


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    records = ActivationRecords(tmp_path_factory.mktemp("scale") / "a.rows", BLOBS)
    keys = [number.to_bytes(16, "big") for number in range(CANDIDATES)]
    for _ in records.append(zip(keys, drawn_rows(), strict=True)):
        pass
    records = ActivationRecords(records.path, BLOBS)
    table = records.table()
    places = records.places(keys)
    names = tuple((f"blob{k}",) for k in range(BLOBS))
    found = Activations(
        tuple(name for (name,) in names), names, table["absmax"][places], table["counts"], places
    )
    persons = tuple(
        Person(number, number, Path("a.jpg"), "a.jpg", (0.0, 0.0, 9.0, 9.0), 1.0)
        for number in range(CANDIDATES)
    )
    traits = made_up(CANDIDATES)
    return Candidates(persons, lambda: traits, lambda: found)


def drawn_rows() -> Iterator[Rows]:
    rng = np.random.default_rng(0)
    for _ in range(CANDIDATES):
        row = np.zeros((), record_dtype(BLOBS))
        centre = rng.normal(24, 4, (BLOBS, 1))
        spread = np.exp(-np.abs(np.arange(48) - centre) / rng.uniform(1, 4, (BLOBS, 1)))
        row["counts"] = (4096 * spread / spread.sum(axis=1, keepdims=True)).astype(np.uint16)
        row["counts"][:, 0] += 1
        row["absmax"] = np.exp2(centre[:, 0] / 2 - 12 + rng.exponential(2, BLOBS))
        yield row


@pytest.mark.parametrize("name", STRATEGIES)
def test_choosing(benchmark: BenchmarkFixture, candidates: Candidates, name: str) -> None:
    benchmark.pedantic(strategy_named(name), args=(candidates, COUNT, 0), rounds=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    benchmark.extra_info["peak_mb_of_the_process"] = round(peak)
    sys.stderr.write(f"{name}: {CANDIDATES} candidates, peak so far {peak:.0f} MB\n")
