from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.backends.tensorrt_cache import cache_folder, cached_engine


class Plans:
    """Builds plans and counts them."""

    def __init__(self) -> None:
        self.built = 0

    def build(self) -> bytes:
        self.built += 1
        return b"plan %d" % self.built

    def get(self, key: str = "key", refused: bytes = b"") -> bytes | None:
        return cached_engine(
            key, self.build, lambda plan: None if plan == refused else b"engine of " + plan
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


def test_an_engine_is_built_once_for_each_key(folder: Path) -> None:
    plans = Plans()
    assert [plans.get("a"), plans.get("b"), plans.get("a")] == [
        b"engine of plan 1", b"engine of plan 2", b"engine of plan 1",
    ]  # fmt: skip
    assert plans.built == 2
    assert sorted(path.name for path in folder.iterdir()) == ["a.plan", "b.plan"]


def test_the_folder_is_the_users_own(folder: Path) -> None:
    Plans().get()
    assert folder.stat().st_mode & 0o777 == 0o700


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"plan", b"evil"))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_cut, _change, _empty])
def test_a_damaged_plan_is_never_loaded_but_built_anew(
    damage: Callable[[Path], None], folder: Path
) -> None:
    plans = Plans()
    plans.get()
    damage(folder / "key.plan")
    assert plans.get() == b"engine of plan 2"
    assert plans.get() == b"engine of plan 2"


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(folder: Path) -> None:
    plans = Plans()
    plans.get()
    _folder(folder / "key.plan")
    assert plans.get() == b"engine of plan 2"


def test_a_kept_plan_that_tensorrt_refuses_is_built_anew(folder: Path) -> None:
    plans = Plans()
    plans.get()
    assert plans.get(refused=b"plan 1") == b"engine of plan 2"
    assert plans.get(refused=b"plan 3") == b"engine of plan 2"


def test_a_new_plan_that_is_refused_gives_nothing(folder: Path) -> None:
    assert Plans().get(refused=b"plan 1") is None


def test_a_folder_in_which_others_can_write_is_not_used(folder: Path) -> None:
    plans = Plans()
    plans.get()
    folder.chmod(0o770)
    assert plans.get() == b"engine of plan 2"
    assert plans.get() == b"engine of plan 3"


def test_a_folder_that_cannot_be_made_is_done_without(folder: Path) -> None:
    folder.parents[1].write_text("a file in its place")
    plans = Plans()
    assert [plans.get(), plans.get()] == [b"engine of plan 1", b"engine of plan 2"]


@pytest.mark.parametrize("value", ["", "somewhere/relative"])
def test_without_an_absolute_cache_home_it_is_the_homes(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "quantkit" / "tensorrt"
