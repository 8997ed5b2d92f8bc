import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.project.toml import toml_string


@given(st.text())
def test_any_text_is_read_again_as_it_was(text: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    assert tomllib.loads(f"a = {toml_string(text)}") == {"a": text}


@pytest.mark.parametrize("text", ["\U0001f9cd", '"', "\\", "a\nb\t\r\0\x7f\x1b", "Modell ä", "''"])
def test_text_that_json_or_plain_quotes_would_break(text: str) -> None:
    assert tomllib.loads(f"a = {toml_string(text)}") == {"a": text}


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InputError, match=r"'m\\udcff.onnx' is not UTF-8"):
        toml_string(b"m\xff.onnx".decode("utf-8", "surrogateescape"))
