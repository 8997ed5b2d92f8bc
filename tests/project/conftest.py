import pytest

from quantkit.project import exporting


@pytest.fixture
def sound_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a project's ncnn network for sound: to see that takes a process every time."""
    monkeypatch.setattr(exporting, "_check_pair", lambda files, sample: None)
