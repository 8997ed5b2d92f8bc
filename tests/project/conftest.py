import pytest

from quantkit.project import exporting


@pytest.fixture
def sound_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a project's ncnn network for sound: to see that takes a process every time."""
    monkeypatch.setattr(exporting, "check_first_forward", lambda *given, **named: None)
