from pathlib import Path

import numpy as np
import pytest

from quantkit.data.coco import Person
from quantkit.evaluation.output_sample import OutputSample
from quantkit.tuning.sqnr import Outputs

MEGABYTE = 1 << 20


def person(number: int) -> Person:
    return Person(number, number, Path("a.png"), "a.png", (0, 0, 9, 9), 50.0)


def filled(persons: list[Person], size: int = 4, seed: int = 0) -> OutputSample:
    sample = OutputSample(persons)
    for one in persons:
        sample.keep(one, outputs(one.annotation_id, size, seed))
    return sample


def outputs(number: int, size: int = 4, seed: int = 0) -> Outputs:
    rng = np.random.default_rng([number, seed])
    return tuple(rng.normal(size=(size, size)).astype(np.float32) for _ in range(2))


def test_the_same_32_persons_are_kept_in_whatever_order_they_come(tmp_path: Path) -> None:
    persons = [person(number) for number in range(1, 101)]
    first, second = filled(persons), filled(persons[::-1])
    assert len(OutputSample(persons).missing) == 32
    assert (first.missing, second.missing) == ((), ())
    assert second.sqnr_db(first) == (np.inf, np.inf)
    for name, sample in (("first", first), ("second", second)):
        sample.write(tmp_path / name, "key")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_large_outputs_are_kept_of_fewer_persons() -> None:
    persons = [person(number) for number in range(40)]
    sample = OutputSample(persons)
    big = (np.zeros(8 * MEGABYTE // 4, np.float32),)
    for one in persons:
        sample.keep(one, big)
    assert sum(map(len, sample._kept.values())) == 4
    assert sample.missing == ()


def test_each_output_is_compared_in_double_precision() -> None:
    persons = [person(number) for number in range(6)]
    got = filled(persons, seed=1).sqnr_db(filled(persons))
    for place, found in enumerate(got or ()):
        r = np.array([outputs(n)[place] for n in range(6)], np.float64)
        q = np.array([outputs(n, seed=1)[place] for n in range(6)], np.float64)
        assert found == pytest.approx(10 * np.log10((r**2).sum() / ((r - q) ** 2).sum()), abs=1e-4)
    assert len(got or ()) == 2


def test_outputs_of_other_shapes_are_not_compared() -> None:
    persons = [person(number) for number in range(3)]
    assert filled(persons, 4).sqnr_db(filled(persons, 5)) is None


def test_a_sample_reads_back_under_its_key_alone(tmp_path: Path) -> None:
    persons = [person(number) for number in range(1, 60)]
    path = tmp_path / "eval" / "ncnn.outputs.npz"
    filled(persons).write(path, "key")
    again, other = OutputSample(persons), OutputSample(persons)
    assert again.read(path, "key")
    assert again.sqnr_db(filled(persons)) == (np.inf, np.inf)
    assert not other.read(path, "another key")
    assert not other.read(tmp_path / "nothing.npz", "key")
    path.write_bytes(path.read_bytes()[:300])
    assert not other.read(path, "key")
    assert len(other.missing) == 32
