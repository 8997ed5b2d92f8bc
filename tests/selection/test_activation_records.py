import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.selection.activation_records import ActivationRecords, Rows, record_dtype

BLOBS = 1
SIZE = 16 + BLOBS * (4 + 2 * 48) + 4
Item = tuple[bytes, Rows]


def item(number: int) -> Item:
    rng = np.random.default_rng(number)
    record = np.zeros((), record_dtype(BLOBS))
    record["absmax"] = rng.lognormal(size=BLOBS)
    record["counts"] = rng.integers(0, 2**16, (BLOBS, 48))
    return rng.bytes(16), np.asarray(record)


ITEMS = [item(number) for number in range(3)]


def written(path: Path, items: Iterable[Item]) -> None:
    list(ActivationRecords(path, BLOBS).append(items))


def found(path: Path, items: Iterable[Item]) -> list[int]:
    """Which of the items a new reader finds, each as it was written."""
    records = ActivationRecords(path, BLOBS)
    there = [(k, key, record) for k, (key, record) in enumerate(items) if key in records]
    places = records.places([key for _, key, _ in there])
    for place, (_, _, record) in zip(places, there, strict=True):
        assert records.table()[place].tobytes() == record.tobytes()
    return [k for k, _, _ in there]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.rows"


@pytest.fixture
def whole(path: Path) -> bytes:
    written(path, ITEMS)
    return path.read_bytes()


def test_what_is_written_is_found_by_whoever_comes_next(path: Path) -> None:
    written(path, ITEMS)
    records = ActivationRecords(path, BLOBS)
    assert item(9)[0] not in records
    assert found(path, ITEMS) == [0, 1, 2]
    places = records.places([ITEMS[2][0], ITEMS[0][0]])
    absmax = [record["absmax"].tolist() for _, record in (ITEMS[2], ITEMS[0])]
    assert records.table()["absmax"][places].tolist() == absmax


def test_each_record_is_on_disk_when_it_is_counted(path: Path) -> None:
    for done in ActivationRecords(path, BLOBS).append(ITEMS):
        assert found(path, ITEMS) == list(range(done))


def test_a_later_append_adds_to_an_earlier_one(path: Path) -> None:
    for one in ITEMS:
        written(path, [one])
    assert found(path, ITEMS) == [0, 1, 2]


def test_there_is_no_file_before_the_first_record(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "net.rows"
    assert found(path, ITEMS) == []
    assert len(ActivationRecords(path, BLOBS).table()) == 0
    assert not path.parent.exists()
    written(path, ITEMS[:1])
    assert found(path, ITEMS) == [0]


def test_a_cut_anywhere_loses_the_record_in_writing_at_most(path: Path, whole: bytes) -> None:
    assert len(whole) == 3 * SIZE
    for length in range(2 * SIZE):
        path.write_bytes(whole[:length])
        complete = list(range(length // SIZE))
        assert found(path, ITEMS) == complete
        written(path, [item(7)])
        assert found(path, [item(7), *ITEMS]) == [0, *(k + 1 for k in complete)]


def test_what_a_cut_lost_is_found_once_it_is_written_again(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: 2 * SIZE - 30])
    written(path, ITEMS[1:])
    assert found(path, ITEMS) == [0, 1, 2]


def test_a_flipped_bit_anywhere_loses_that_record_alone(path: Path, whole: bytes) -> None:
    for place in range(2 * SIZE):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert found(path, ITEMS) == [1 - place // SIZE, 2]
        key = place // SIZE * SIZE
        assert bytes(damaged[key : key + 16]) not in ActivationRecords(path, BLOBS)


def test_a_damaged_record_is_found_once_it_is_made_again(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[:50] + b"\xff\xff" + whole[52:])
    assert found(path, ITEMS) == [1, 2]
    written(path, ITEMS[:1])
    assert found(path, ITEMS) == [0, 1, 2]


def test_zeros_are_no_record(path: Path) -> None:
    path.write_bytes(bytes(2 * SIZE))
    assert bytes(16) not in ActivationRecords(path, BLOBS)


def test_two_writers_in_turn_keep_what_the_other_wrote(path: Path) -> None:
    items = [item(number) for number in range(6)]
    one = ActivationRecords(path, BLOBS).append(items[:3])
    other = ActivationRecords(path, BLOBS).append(items[3:])
    assert [next(writer) for writer in (one, other, other, one, one, other)] == [1, 1, 2, 2, 3, 3]
    one.close()  # type: ignore[attr-defined]
    other.close()  # type: ignore[attr-defined]
    assert found(path, items) == list(range(6))


@pytest.mark.parametrize("torn", [1, 30, SIZE - 1])
def test_a_writer_that_is_killed_costs_another_one_nothing(path: Path, torn: int) -> None:
    items = [item(number) for number in range(6)]
    living = ActivationRecords(path, BLOBS).append(items[:4])
    killed = ActivationRecords(path, BLOBS).append(items[4:])
    assert [next(writer) for writer in (living, killed, living)] == [1, 1, 2]
    with path.open("ab") as file:
        file.write(bytes(range(1, torn + 1)))
    assert list(living) == [3, 4]
    killed.close()  # type: ignore[attr-defined]
    assert found(path, items) == [0, 1, 2, 3, 4]


def test_records_out_of_step_cost_themselves_alone(path: Path, whole: bytes) -> None:
    # Cut short between another writer's look at the file and its write.
    path.write_bytes(whole[: 2 * SIZE] + whole[:30] + whole[2 * SIZE :])
    more = [item(number) for number in range(7, 10)]
    written(path, more)
    assert found(path, [*ITEMS, *more]) == [0, 1, 3, 4, 5]


def test_an_error_of_whoever_makes_the_records_keeps_those_before(path: Path) -> None:
    def breaks() -> Iterator[Item]:
        yield ITEMS[0]
        message = "no more"
        raise InputError(message)

    with pytest.raises(InputError, match="no more"):
        written(path, breaks())
    assert found(path, ITEMS) == [0]


def test_a_full_disk_is_named_and_costs_the_record_in_writing_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path, ITEMS[:1])
    write, room = os.write, [100]

    def short(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[: room.pop()])

    with monkeypatch.context() as full:
        full.setattr(os, "write", short)
        with pytest.raises(
            InputError, match=r"net\.rows: cannot be written \(No space left on device\)"
        ):
            written(path, ITEMS[1:])
    assert path.stat().st_size == SIZE + 100
    written(path, ITEMS[1:])
    assert found(path, ITEMS) == [0, 1, 2]


def test_a_record_is_whole_even_if_the_system_takes_it_in_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as slow:
        slow.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
        written(path, ITEMS)
    assert found(path, ITEMS) == [0, 1, 2]


def test_a_file_that_cannot_be_read_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    written(path, ITEMS)
    monkeypatch.setattr(np, "memmap", refused)
    with pytest.raises(InputError, match=r"net\.rows: cannot be read \(Permission denied\)"):
        ActivationRecords(path, BLOBS)


def test_a_file_that_cannot_be_read_any_more_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: object, **named: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    written(path, ITEMS)
    records = ActivationRecords(path, BLOBS)
    monkeypatch.setattr(np, "memmap", refused)
    with pytest.raises(InputError, match=r"net\.rows: cannot be read \(Permission denied\)"):
        records.table()


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(InputError, match=r"net\.rows: cannot be (read|written) \(Is a directory\)"):
        written(path, ITEMS)


def test_a_file_in_the_place_of_its_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"net\.rows: cannot be written"):
        written(tmp_path / "file" / "net.rows", ITEMS)
