import pytest

from quantkit.cli.console import feedback


def test_a_note_is_given_once_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with feedback() as shown:
            for note in ("first", "second", "first"):
                shown.note(note)
    assert capsys.readouterr().err.split() == ["first", "second", "first", "second"]
