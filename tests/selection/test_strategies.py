from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError
from quantkit.selection import STRATEGIES, select
from quantkit.selection.manifest import CalibrationSet, parse_calibration_set
from quantkit.selection.strategies import OF_IMAGES, OF_NETWORK
from tests.selection.made_up import candidates_of
from tests.selection.pool import pool


def chosen_of(data: PoseDataset, method: str, count: int, seed: int = 0) -> CalibrationSet:
    return select(data, method, count, seed, candidates=candidates_of(data.persons))


@pytest.mark.parametrize("method", STRATEGIES)
@pytest.mark.parametrize("count", [1, 5, 12])
def test_every_strategy_chooses_that_many_persons_in_file_order(
    tmp_path: Path, method: str, count: int
) -> None:
    data = pool(tmp_path / "images")
    found = chosen_of(data, method, count, seed=3)
    ids = [entry.annotation_id for entry in found.entries]
    assert len(set(ids)) == count == found.count
    assert ids == sorted(ids)
    assert set(ids) <= {person.annotation_id for person in data.persons}
    assert (found.strategy, found.seed) == (method, 3)


@pytest.mark.parametrize("method", STRATEGIES)
def test_the_same_choice_writes_the_same_bytes(tmp_path: Path, method: str) -> None:
    data = pool(tmp_path / "images")
    assert chosen_of(data, method, 5).text() == chosen_of(data, method, 5).text()


def test_entries_hold_what_proves_the_image(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    entry = select(data, "first", 4).entries[3]
    person = data.persons[3]
    assert (entry.annotation_id, entry.image_id, entry.file_name, entry.box) == (
        person.annotation_id,
        person.image_id,
        person.file_name,
        person.box,
    )
    assert entry.sha256 == sha256(b"image 2").hexdigest()


def test_a_truncated_image_is_not_chosen(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    data.persons[3].image.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"000002\.jpg: is truncated"):
        select(data, "first", 4)


def test_first_takes_the_first(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    found = select(data, "first", 4, seed=9)
    assert [e.annotation_id for e in found.entries] == [10, 11, 12, 20]


def test_another_seed_draws_other_persons(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=20)
    assert select(data, "random", 10, 0).entries != select(data, "random", 10, 1).entries


def test_a_larger_random_set_holds_the_smaller_one(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=20)
    small, large = (set(select(data, "random", n, 5).entries) for n in (8, 30))
    assert small < large


def test_the_order_of_the_file_does_not_matter_to_random(tmp_path: Path) -> None:
    data = pool(tmp_path / "images", images=20)
    turned = replace(data, persons=data.persons[::-1])
    assert set(select(data, "random", 9).entries) == set(select(turned, "random", 9).entries)


@pytest.mark.slow
def test_random_draws_every_person_equally_often(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    draws = Counter(
        entry.annotation_id
        for seed in range(400)
        for entry in select(data, "random", 3, seed).entries
    )
    assert len(draws) == 12
    # 400 draws of 3 of 12: 100 each, with a standard deviation of 8.7.
    assert all(abs(count - 100) < 40 for count in draws.values())


@pytest.mark.parametrize("method", STRATEGIES)
def test_more_persons_than_there_are_is_refused_with_their_number(
    tmp_path: Path, method: str
) -> None:
    data = pool(tmp_path / "images")
    with pytest.raises(
        InputError, match=r"pool\.json: 13 persons .* there are 12; give --count 12"
    ):
        chosen_of(data, method, 13)


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_set_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match="at least one person"):
        select(pool(tmp_path / "images"), "first", count)


def test_an_unknown_strategy_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no strategy 'best'; there are first, random, str"):
        select(pool(tmp_path / "images"), "best", 1)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    data.persons[0].image.unlink()
    with pytest.raises(InputError, match=r"000001\.jpg: cannot be read"):
        select(data, "first", 1)


def test_data_is_named_relative_to_the_project(tmp_path: Path) -> None:
    data = pool(tmp_path / "data" / "images")
    inside = select(data, "first", 1, root=tmp_path)
    assert (inside.annotations, inside.images) == ("data/ann/pool.json", "data/images")
    outside = select(data, "first", 1, root=tmp_path / "project")
    assert (outside.annotations, outside.images) == ("pool.json", "images")
    assert str(tmp_path) not in inside.text() + outside.text()


def test_a_set_has_a_name_that_says_how_it_was_chosen(tmp_path: Path) -> None:
    data = pool(tmp_path / "images")
    assert select(data, "random", 2, 7).name == "random-2-seed7"
    assert select(data, "random", 2, 7, name="mine").name == "mine"


@pytest.mark.parametrize("method", [*OF_IMAGES, *OF_NETWORK])
def test_a_strategy_that_looks_at_more_than_boxes_says_so(tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=r"looks at the (images|network)"):
        select(pool(tmp_path / "images"), method, 3)


@pytest.mark.parametrize("method", STRATEGIES)
def test_what_is_selected_can_be_read(tmp_path: Path, method: str) -> None:
    import json

    found = chosen_of(pool(tmp_path / "images"), method, 6)
    assert parse_calibration_set(json.loads(found.text())) == found
