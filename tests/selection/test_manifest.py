import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.selection.manifest import (
    CalibrationSet,
    Entry,
    parse_calibration_set,
    read_calibration_set,
    write_calibration_set,
)

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
    return CalibrationSet("pool-2", "random", 3, 2, "ann/a.json", "images", entries)


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


def test_every_field_decides_the_hash() -> None:
    assert chosen(entry(7)).sha256 != chosen(entry(8)).sha256


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


def set_entry(field: str, value: object) -> Callable[[Any], None]:
    return lambda broken: broken["entries"][1].update({field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=2), "the manifest: 'schema' must be 1"),
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
