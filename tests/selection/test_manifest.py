import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.selection.candidates_hash import candidates_hash
from quantkit.selection.manifest import (
    CalibrationSet,
    Entry,
    Refused,
    parse_calibration_set,
    read_calibration_set,
    write_calibration_set,
)
from tests.selection.pool import pool

HASH = "0123456789abcdef" * 4
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELDS = [*CalibrationSet.__dataclass_fields__, "schema"]


def entry(number: int, file_name: str = "a.jpg", sha256: str = HASH) -> Entry:
    return Entry(number, 1, file_name, (0.0, 1.5, 10.25, 20.0), sha256)


def chosen(*entries: Entry) -> CalibrationSet:
    return CalibrationSet(
        name="pool-2",
        strategy="k_center",
        parameters={"blobs": 3, "power": 0.5, "metric": "cosine", "limit": None},
        seed=3,
        count=2,
        annotations="ann/a.json",
        images="images",
        candidates=9,
        candidates_sha256="ab" * 32,
        model_sha256="cd" * 32,
        preprocess={"size": (192, 256), "color": "rgb"},
        versions={"numpy": "1.26.4"},
        covers={"layers": {"conv1": [0.5, 1]}, "boxes": 2},
        refused=(Refused(5, "c.jpg", "it alone sets the range of conv1"),),
        entries=entries,
    )


def document() -> Any:
    return json.loads(chosen(entry(7), entry(8, "sub/b.jpg")).text())


def test_a_manifest_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = chosen(entry(7), entry(8, "sub/b.jpg"))
    path = tmp_path / "calib_sets" / "pool-2.json"
    write_calibration_set(written, path)
    assert read_calibration_set(path) == written
    assert read_calibration_set(path).sha256 == written.sha256
    assert path.read_text() == written.text()


def test_another_manifest_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    write_calibration_set(chosen(entry(7)), path)
    write_calibration_set(chosen(entry(7)), path)
    with pytest.raises(InputError, match="exists with other content"):
        write_calibration_set(chosen(entry(8)), path)
    write_calibration_set(chosen(entry(8)), path, overwrite=True)


def test_one_that_other_versions_wrote_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    old, new = chosen(entry(7)), replace(chosen(entry(7)), versions={"numpy": "2.4.6"})
    assert write_calibration_set(old, path) == old
    assert write_calibration_set(new, path) == old
    assert path.read_text() == old.text()
    path.write_text("{")
    with pytest.raises(InputError, match="exists with other content"):
        write_calibration_set(new, path)
    assert write_calibration_set(new, path, overwrite=True) == new


OTHER: dict[str, Any] = {
    "name": "other",
    "strategy": "first",
    "parameters": {},
    "seed": 4,
    "count": 3,
    "annotations": "b.json",
    "images": "pictures",
    "candidates": 10,
    "candidates_sha256": HASH,
    "model_sha256": None,
    "preprocess": {},
    "versions": {},
    "covers": {},
    "refused": (),
    "entries": (entry(8),),
}


@pytest.mark.parametrize("field", CalibrationSet.__dataclass_fields__)
def test_every_field_decides_the_hash(field: str) -> None:
    assert replace(chosen(entry(7)), **{field: OTHER[field]}).sha256 != chosen(entry(7)).sha256


def test_every_person_has_a_line_of_its_own() -> None:
    lines = chosen(entry(7), entry(8, "sub/b.jpg")).text().splitlines()
    row = (
        '  {"annotation_id": 8, "image_id": 1, "file_name": "sub/b.jpg",'
        f' "box": [0.0, 1.5, 10.25, 20.0], "sha256": "{HASH}"}}'
    )
    assert row in lines
    assert len([line for line in lines if '"annotation_id"' in line]) == 3
    assert lines[-4:] == [lines[-4], row, " ]", "}"]


def test_objects_have_a_line_for_each_innermost_one() -> None:
    covers = {"size": {"< 32": {"pool": 3, "set": 1}, ">= 32": {"pool": 9, "set": 4}}, "db": 18.5}
    text = replace(chosen(entry(7)), covers=covers, parameters={"among": 9, "x": "y"}).text()
    assert ' "parameters": {"among": 9, "x": "y"},\n' in text
    wanted = """ "covers": {
  "size": {
   "< 32": {"pool": 3, "set": 1},
   ">= 32": {"pool": 9, "set": 4}
  },
  "db": 18.5
 },
"""
    assert wanted in text
    assert json.loads(text)["covers"] == covers


def test_a_set_of_the_schema_before_is_to_be_selected_again() -> None:
    old = {"schema": 1, "name": "a", "method": "first", "entries": []}
    with pytest.raises(InputError, match=r"^a\.json: .*'schema' must be 2, got 1; select the set"):
        parse_calibration_set(old, Path("a.json"))


def test_the_hash_of_a_pool_notices_every_change(tmp_path: Path) -> None:
    persons = pool(tmp_path).persons
    first = persons[0]
    changed = [
        replace(first, annotation_id=99),
        replace(first, image_id=99),
        replace(first, file_name="other.jpg"),
        replace(first, box=(1.0, 2.0, 30.5, 40.25)),
    ]
    pools = [persons, persons[1:], persons[::-1], *((one, *persons[1:]) for one in changed)]
    assert len({candidates_hash(one) for one in pools}) == len(pools)


def test_the_hash_of_a_pool_does_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    here, there = pool(tmp_path / "here").persons, pool(tmp_path / "there").persons
    assert candidates_hash(here) == candidates_hash(there)


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field: str) -> None:
    broken = document()
    del broken[field]
    with pytest.raises(
        InputError, match=rf"^a\.json: the manifest: the field '{field}' is missing"
    ):
        parse_calibration_set(broken, Path("a.json"))


@pytest.mark.parametrize("field", Entry.__dataclass_fields__)
def test_a_missing_field_of_an_entry_is_named(field: str) -> None:
    broken = document()
    del broken["entries"][1][field]
    with pytest.raises(InputError, match=rf"^a\.json: entry 1: the field '{field}' is missing"):
        parse_calibration_set(broken, Path("a.json"))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def set_entry(field: str, value: object) -> Callable[[Any], None]:
    return lambda broken: broken["entries"][1].update({field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=3), "the manifest: 'schema' must be 2, got 3"),
        (lambda d: d.update(schema=2.0), "the manifest: 'schema' must be an integer"),
        (lambda d: d.update(parameters=[]), "'parameters' must be an object of numbers, texts"),
        (lambda d: d.update(parameters={"a": [1]}), "'parameters' must be an object of numbers"),
        (lambda d: d.update(parameters={"a": float("inf")}), "'parameters' must be an object"),
        (lambda d: d.update(covers={"a": [{"b": float("nan")}]}), "'covers' must be an object"),
        (lambda d: d.update(covers={"\ud800": 1}), "'covers' must be an object of finite"),
        (lambda d: d.update(covers={"a": nested(16)}), "nested 16 deep at most"),
        (lambda d: d.update(preprocess=None), "'preprocess' must be an object"),
        (lambda d: d.update(versions={"numpy": 2}), "'versions' must be an object of texts"),
        (lambda d: d.update(model_sha256=""), "'model_sha256' must be 64 hexadecimal digits"),
        (lambda d: d.update(candidates_sha256=None), "'candidates_sha256' must be 64"),
        (lambda d: d.update(candidates=1), "holds 2 entries out of 1 candidates"),
        (lambda d: d.update(refused=[{}]), "refused 0: the field 'annotation_id' is missing"),
        (lambda d: d["refused"][0].update(file_name="../c"), "refused 0: 'file_name' must be a"),
        (lambda d: d["refused"][0].update(reason=""), "refused 0: 'reason' must be a text"),
        (lambda d: d.update(more=1), "the field 'more' is unknown"),
        (lambda d: d.update(seed="3"), "'seed' must be an integer, got '3'"),
        (lambda d: d.update(count=True), "'count' must be an integer, got true"),
        (lambda d: d.update(name=""), "'name' must be a text"),
        (lambda d: d.update(images="/data/images"), "'images' must be a relative path"),
        (lambda d: d.update(annotations="../a.json"), "'annotations' must be a relative path"),
        (lambda d: d.update(entries=[]), "holds no entries"),
        (lambda d: d.update(entries={}), "'entries' must be a list"),
        (lambda d: d.update(entries=[3]), "entry 0 must be an object"),
        (set_entry("annotation_id", 7), "entry 1: annotation 7 is entry 0 already"),
        (set_entry("image_id", 1.5), "entry 1: 'image_id' must be an integer"),
        (set_entry("file_name", "../b.jpg"), "entry 1: 'file_name' must be a relative path"),
        (set_entry("file_name", "a\\..\\..\\b.jpg"), "'file_name' must be a relative path"),
        (set_entry("file_name", "/b.jpg"), "'file_name' must be a relative path"),
        (set_entry("file_name", "b\0.jpg"), "'file_name' must be a text"),
        (set_entry("file_name", "\ud800.jpg"), "'file_name' must be a text"),
        (set_entry("sha256", HASH.upper()), "'sha256' must be 64 hexadecimal digits"),
        (set_entry("sha256", HASH[1:]), "'sha256' must be 64 hexadecimal digits"),
        (set_entry("box", [0, 0, 5]), "'box' must be four finite numbers"),
        (set_entry("box", [0, 0, 5, True]), "'box' must be four finite numbers"),
        (set_entry("box", [0, 0, 5, float("nan")]), "'box' must be four finite numbers"),
        (set_entry("box", [0, 0, 5, 10**400]), "'box' must be four finite numbers"),
        (set_entry("box", [5, 0, 5, 9]), "with 0 <= x1 < x2"),
        (set_entry("box", [-1, 0, 5, 9]), "with 0 <= x1 < x2"),
        (
            lambda d: d["entries"][1].update(file_name="a.jpg", sha256="f" * 64),
            "entry 1: 'a.jpg' has another sha256",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(change: Callable[[Any], None], message: str) -> None:
    broken = document()
    change(broken)
    with pytest.raises(InputError) as caught:
        parse_calibration_set(broken, Path("a.json"))
    assert str(caught.value).startswith("a.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(JSON)
def test_any_json_is_a_manifest_or_an_input_error(value: object) -> None:
    with pytest.raises(InputError):
        parse_calibration_set(value)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_taken_or_an_input_error(field: str, value: object) -> None:
    changed = {**document(), field: value}
    try:
        parsed = parse_calibration_set(changed)
    except InputError:
        return
    assert parse_calibration_set(json.loads(parsed.text())) == parsed


@given(st.sampled_from([*Entry.__dataclass_fields__]), JSON)
def test_any_value_in_any_entry_is_taken_or_an_input_error(field: str, value: object) -> None:
    changed = document()
    changed["entries"][0][field] = value
    try:
        parsed = parse_calibration_set(changed)
    except InputError:
        return
    assert parse_calibration_set(json.loads(parsed.text())) == parsed
