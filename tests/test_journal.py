from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.journal import Journal


def test_a_record_is_found_again_by_another_reader(tmp_path: Path) -> None:
    Journal(tmp_path / "j").record("a", {"sqnr_db": 1.5})
    assert Journal(tmp_path / "j").find("a") == {"sqnr_db": 1.5}
    assert Journal(tmp_path / "j").find("b") is None


@given(st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_costs_that_line_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    journal.record("first", {"v": 1})
    whole = path.stat().st_size
    journal.record("second", {"v": 2})
    data = path.read_bytes()
    path.write_bytes(data[: max(whole, len(data) - cut)])

    again = Journal(path)
    assert again.find("first") == {"v": 1}
    assert again.find("second") in (None, {"v": 2})
    again.record("third", {"v": 3})
    assert Journal(path).find("third") == {"v": 3}
    assert Journal(path).find("first") == {"v": 1}


@given(st.binary(max_size=200))
def test_garbage_is_never_taken_for_a_record(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    path.write_bytes(garbage)
    Journal(path).record("key", {"v": 1})
    assert Journal(path).find("key") == {"v": 1}


def test_a_changed_figure_fails_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path).record("key", {"sqnr_db": 21.5})
    path.write_text(path.read_text().replace("21.5", "31.5"))
    assert Journal(path).find("key") is None
