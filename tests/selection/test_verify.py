import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.selection import select
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.verify import Verification, verify
from tests.selection.pictures import draw, encode, picture_pool

MODEL = "ab" * 32
NAMES = ["images", "annotations", "pool", "network", "preprocess", "overlap"]


@pytest.fixture
def data(tmp_path: Path) -> PoseDataset:
    return picture_pool(tmp_path / "train", 1, images=6)


@pytest.fixture
def val(tmp_path: Path) -> PoseDataset:
    return picture_pool(tmp_path / "val", 100)


@pytest.fixture
def chosen(data: PoseDataset) -> CalibrationSet:
    return select(data, "first", 4)


def problems(found: Verification) -> list[tuple[str, str]]:
    return [(one.name, one.detail) for one in found.findings if not one.passed]


def changed(data: PoseDataset, index: int, **values: object) -> PoseDataset:
    persons = list(data.persons)
    persons[index] = replace(persons[index], **values)  # type: ignore[arg-type]
    return replace(data, persons=tuple(persons))


def test_a_set_that_is_as_it_was_is_proven(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    found = verify(chosen, data, val, replay=lambda: select(data, "first", 4))
    assert found.ok
    assert [one.name for one in found.findings] == [*NAMES, "replay"]
    assert found.findings[0].detail == "4 images are those that were selected, to the byte"
    assert found.lines()[-1] == "calibration set first-4-seed0: proven"
    assert all(line.startswith("ok ") for line in found.lines()[:-1])


def test_without_a_replay_the_choice_is_not_said_to_be_proven(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    assert [one.name for one in verify(chosen, data, val).findings] == NAMES


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (Path.unlink, "cannot be read"),
        (truncate, "is not the image that was selected (its sha256 differs)"),
        (lambda path: path.rename(path.parent.parent / "x.png"), "cannot be read"),
    ],
)
@pytest.mark.parametrize("journaled", [False, True])
def test_an_image_that_is_not_there_any_more_is_a_finding(
    chosen: CalibrationSet,
    data: PoseDataset,
    val: PoseDataset,
    tmp_path: Path,
    harm: Callable[[Path], object],
    message: str,
    journaled: bool,
) -> None:
    journal = Journal(tmp_path / "j") if journaled else None
    assert verify(chosen, data, val, journal=journal).ok
    harm(data.images / "000002.png")
    ((name, detail),) = problems(verify(chosen, data, val, journal=journal))
    assert name == "images"
    assert "000002.png" in detail
    assert message in detail


def test_a_link_out_of_the_images_folder_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset, tmp_path: Path
) -> None:
    image = data.images / "000002.png"
    image.rename(tmp_path / "x.png")
    image.symlink_to(tmp_path / "x.png")
    ((name, detail),) = problems(verify(chosen, data, val))
    assert name == "images"
    assert "lies outside the images folder" in detail


def test_an_image_that_never_was_one_is_a_finding(data: PoseDataset, val: PoseDataset) -> None:
    (data.images / "000002.png").write_bytes(b"text")
    found = verify(select(data, "first", 4), data, val)
    assert problems(found) == [("images", "000002.png: is truncated or no image")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_id", 77, "annotation 20: image_id was 2, is 77"),
        ("file_name", "b.png", "annotation 20: file_name was 000002.png, is b.png"),
        (
            "box",
            (10.0, 5.0, 90.5, 110.0),
            "annotation 20: box was (10.0, 5.0, 90.0, 110.0), is (10.0, 5.0, 90.5, 110.0)",
        ),
        ("annotation_id", 21, "annotation 20 is no person of train.json now"),
    ],
)
def test_an_annotation_that_changed_is_named(
    chosen: CalibrationSet,
    data: PoseDataset,
    val: PoseDataset,
    field: str,
    value: object,
    message: str,
) -> None:
    found = verify(chosen, changed(data, 1, **{field: value}), val)
    pool = "holds 6 persons, but other ones than when the set was chosen"
    assert problems(found) == [("annotations", message), ("pool", pool)]


def test_a_pool_that_changed_beside_the_set_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    other = "holds 6 persons, but other ones than when the set was chosen"
    moved = changed(data, 5, box=(0.0, 0.0, 5.0, 5.0))
    assert problems(verify(chosen, moved, val)) == [("pool", other)]
    fewer = replace(data, persons=data.persons[:5])
    fewer_now = "holds 5 persons, 6 when the set was chosen"
    assert problems(verify(chosen, fewer, val)) == [("pool", fewer_now)]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ("cd" * 32, "was abababababab, is cdcdcdcdcdcd now"),
        (None, "was abababababab, is not at hand"),
    ],
)
def test_another_network_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset, now: str | None, message: str
) -> None:
    guided = replace(chosen, model_sha256=MODEL)
    assert problems(verify(guided, data, val, model_sha256=now)) == [("network", message)]
    assert verify(guided, data, val, model_sha256=MODEL).ok
    assert verify(chosen, data, val, model_sha256=now).ok


def test_another_preprocess_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    cropped = replace(chosen, preprocess={"size": (192, 256), "color": "rgb"})
    assert verify(cropped, data, val, preprocess={"size": [192, 256], "color": "rgb"}).ok
    found = verify(cropped, data, val, preprocess={"size": [128, 128], "color": "rgb"})
    assert problems(found) == [("preprocess", "size was [192, 256], is [128, 128]")]
    assert len(problems(verify(cropped, data, val))) == 2
    assert verify(chosen, data, val, preprocess={"color": "rgb"}).ok


def test_an_evaluation_image_in_the_set_is_a_finding_of_each_kind(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    val = changed(val, 0, image_id=1)
    (val.images / "000101.png").write_bytes((data.images / "000002.png").read_bytes())
    (val.images / "000102.png").write_bytes(encode(draw(3), ".jpg"))
    assert problems(verify(chosen, data, val)) == [
        ("overlap", "000001.png has the id of 000100.png"),
        ("overlap", "000002.png has the content of 000101.png"),
        ("overlap", "000003.png is a near-duplicate of 000102.png"),
    ]


def test_a_missing_or_broken_evaluation_image_is_a_finding_and_the_others_are_compared(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    (val.images / "000100.png").unlink()
    (val.images / "000101.png").write_bytes(b"")
    (val.images / "000102.png").write_bytes(encode(draw(3), ".jpg"))
    found = problems(verify(chosen, data, val))
    assert [name for name, _ in found] == ["overlap"] * 3
    assert "000100.png of the evaluation data is missing" in found[0][1]
    assert "000101.png of the evaluation data is truncated or no image" in found[1][1]
    assert "000003.png is a near-duplicate" in found[2][1]


def test_a_strategy_that_chooses_others_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    turned = replace(data, persons=data.persons[::-1])
    found = verify(chosen, data, val, replay=lambda: select(turned, "first", 4))
    assert problems(found) == [
        ("replay", "first with seed 0 does not choose annotation 10 now"),
        ("replay", "first with seed 0 does not choose annotation 20 now"),
        ("replay", "first with seed 0 chooses annotation 50 now"),
        ("replay", "first with seed 0 chooses annotation 60 now"),
    ]


def test_a_strategy_that_cannot_choose_is_a_finding(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    def fail() -> CalibrationSet:
        message = "there is no such strategy"
        raise InputError(message)

    found = verify(chosen, data, val, replay=fail)
    assert problems(found) == [("replay", "cannot be chosen again: there is no such strategy")]


def test_all_problems_are_listed_at_once(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    guided = replace(chosen, model_sha256=MODEL)
    for number in (1, 2):
        (data.images / f"00000{number}.png").unlink()
    (val.images / "000101.png").write_bytes(encode(draw(3), ".jpg"))
    moved = changed(data, 3, box=(0.0, 0.0, 5.0, 5.0))
    found = verify(guided, moved, val, replay=lambda: select(data, "random", 5))
    names = [name for name, _ in problems(found)]
    assert names[:6] == ["images", "images", "annotations", "pool", "network", "overlap"]
    assert set(names[6:]) == {"replay"}
    assert not found.ok
    assert found.lines()[-1].endswith(f"{len(names)} problems")
    document = json.loads(json.dumps(found.to_json()))
    assert document["ok"] is False
    assert document["calibration_set"] == "first-4-seed0"
    assert len(document["findings"]) == len(names) + 1
    assert not any("\n" in line for line in found.lines())


def test_progress_counts_both_kinds_of_images(
    chosen: CalibrationSet, data: PoseDataset, val: PoseDataset
) -> None:
    seen: list[tuple[str, int, int]] = []
    verify(chosen, data, val, progress=lambda *step: seen.append(step))
    assert seen[3] == ("verify", 4, 4)
    assert seen[-1] == ("overlap", 4, 4)
