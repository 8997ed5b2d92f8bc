import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.storage import (
    content_key,
    json_text,
    read_json,
    read_text,
    sha256_bytes,
    sha256_file,
    write_atomically,
    write_result,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_json_text_is_read_back_to_the_same_value(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_atomically(path, json_text(value))
    assert read_json(path) == value


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_content_key_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert content_key(value) == content_key(dict(reversed(value.items())))


def test_a_content_key_changes_with_any_value() -> None:
    assert content_key({"a": 1}) != content_key({"a": 2})


def test_a_file_hash_equals_the_hash_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "data").write_bytes(data)
    assert sha256_file(tmp_path / "data") == sha256_bytes(data)


@pytest.mark.parametrize("reader", [read_json, read_text, sha256_file])
def test_a_missing_file_is_named(tmp_path: Path, reader: object) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read \(No such file"):
        reader(tmp_path / "absent.json")  # type: ignore[operator]


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{\n "a": 1,\n oops\n}')
    with pytest.raises(InputError, match=r"broken\.json:3: is not JSON"):
        read_json(tmp_path / "broken.json")


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")


def test_a_number_that_python_will_not_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text("[" + "1" * 5000 + "]")
    with pytest.raises(InputError, match=r"long\.json: is not usable JSON: a number is too long"):
        read_json(tmp_path / "long.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"ok\xff")
    with pytest.raises(InputError, match="is not a text file"):
        read_text(tmp_path / "text")


def test_a_different_result_is_kept_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_result(path, "one")
    write_result(path, "one")
    with pytest.raises(InputError, match="--overwrite"):
        write_result(path, "two")
    assert path.read_text() == "one"
    write_result(path, "two", overwrite=True)
    assert path.read_text() == "two"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", "x")


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_atomically(path, "old")
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from quantkit.storage import write_atomically; from quantkit.errors import InputError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomically(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert "result: cannot be written (File too large)" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_users_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "written", "x")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode
