from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.data.coco import Person
from quantkit.data.preprocess import Color, InputSpec
from quantkit.errors import InputError
from quantkit.report.captions import shortened, strip, text_width, wrapped
from quantkit.report.contact_sheet import Group, Tile, draw_contact_sheet
from quantkit.report.sheet_layout import lay_out

RED = (40, 40, 210)
SPEC = InputSpec((48, 64))


def tiles(path: Path, count: int, *, mark: bool = False) -> tuple[Tile, ...]:
    found = []
    for number in range(count):
        person = Person(number, 1, path, path.name, (20.0, 20.0, 50.0, 60.0), area=1.0)
        found.append(Tile(person, f"#{number} {path.name}", mark))
    return tuple(found)


def sheet(*groups: Group, spec: InputSpec = SPEC) -> NDArray[np.uint8]:
    data = np.frombuffer(draw_contact_sheet(groups, "a set", spec), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def share(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> int:
    return int(np.all(picture == color, axis=2).sum())


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    path = tmp_path / "000000000001.png"
    cv2.imwrite(str(path), np.full((80, 80, 3), (200, 80, 10), np.uint8))
    return path


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_crops_keep_their_colours_and_their_number(blue: Path, color: Color) -> None:
    picture = sheet(Group("chosen", tiles(blue, 5)), spec=InputSpec((48, 64), color=color))
    assert share(picture, (200, 80, 10)) == 5 * 192 * 256
    assert share(picture, RED) == 0


def test_what_lies_outside_the_image_is_as_black_as_the_network_sees_it(blue: Path) -> None:
    person = Person(1, 1, blue, blue.name, (0.0, 20.0, 30.0, 60.0), area=1.0)
    picture = sheet(Group("chosen", (Tile(person, ""),)))
    assert share(picture, (0, 0, 0)) > 0.06 * 192 * 256


def test_marked_crops_have_a_red_frame_and_red_words(blue: Path) -> None:
    picture = sheet(Group("chosen", tiles(blue, 2)), Group("refused", tiles(blue, 1, mark=True)))
    assert share(picture, RED) >= 2 * 2 * (192 + 256)
    bottom = np.flatnonzero(np.all(picture == RED, axis=2).sum(axis=1) >= 192).max()
    blue_of_words, _, red_of_words = np.moveaxis(picture[bottom + 3 :].astype(int), 2, 0)
    assert blue_of_words.min() < 100
    assert (red_of_words >= blue_of_words).all()
    assert red_of_words.min() > 150


@pytest.mark.parametrize(("chosen", "refused"), [(1, 0), (16, 3), (128, 5), (512, 20), (3000, 99)])
def test_any_number_of_crops_gives_a_sheet_to_look_at(
    blue: Path, chosen: int, refused: int
) -> None:
    groups = Group("chosen", tiles(blue, chosen)), Group("refused", tiles(blue, refused, mark=True))
    picture = sheet(*groups)
    assert picture.shape[1] <= 1600
    assert picture.shape[0] <= 4000
    if refused:
        assert share(picture, RED) > refused * 100


def test_a_full_sheet_draws_512_and_says_how_many_it_leaves_out(
    blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def heard(lines: list[str], *args: object, **options: object) -> NDArray[np.uint8]:
        said.extend(lines)
        return strip(lines, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("quantkit.report.contact_sheet.strip", heard)
    sheet(Group("chosen", tiles(blue, 512)), Group("refused", tiles(blue, 20)))
    assert {"chosen: 512", "refused: 20"} <= set(said)
    said.clear()
    sheet(Group("chosen", tiles(blue, 3000)), Group("refused", tiles(blue, 20)))
    (heading,) = [text for text in said if text.startswith("chosen")]
    _, shown, _, there, _, more, _ = heading.replace(",", "").split()
    assert int(shown) + int(more) == int(there) == 3000
    assert "refused: 20" in said
    assert len([text for text in said if text.startswith("#")]) == int(shown) + 20


def test_groups_without_crops_are_left_out(blue: Path) -> None:
    chosen = Group("chosen", tiles(blue, 3))
    assert np.array_equal(sheet(chosen), sheet(chosen, Group("refused", ())))
    assert sheet().size


def test_progress_is_told_and_a_broken_image_is_named(blue: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    groups = [Group("chosen", tiles(blue, 3))]
    draw_contact_sheet(groups, "a set", SPEC, lambda *step: told.append(step))
    assert told == [("crops", done, 3) for done in (1, 2, 3)]
    with pytest.raises(InputError, match=r"gone\.png"):
        draw_contact_sheet([Group("chosen", tiles(tmp_path / "gone.png", 1))], "a set", SPEC)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 1500), max_size=4),
    st.tuples(st.integers(16, 512), st.integers(16, 512)),
)
def test_no_layout_is_wider_or_higher_than_a_sheet(
    groups: list[int], size: tuple[int, int]
) -> None:
    layout = lay_out([["#12 000000000001.jpg"] * count for count in groups], size)
    pitch = layout.shape.cell_width + 6
    assert layout.columns * pitch <= 1600 or layout.columns == 1
    assert all(0 < shown <= count for shown, count in zip(layout.shown, groups, strict=True))
    rows = [-(-shown // layout.columns) for shown in layout.shown]
    cell = layout.shape.height + 3 * layout.shape.line + 6
    assert sum(rows) * cell <= 4000 * 1.3


@given(st.text(max_size=60), st.integers(1, 200))
def test_no_text_is_wider_than_its_strip(text: str, width: int) -> None:
    assert text_width(shortened(text, width, 0.42), 0.42) <= width


def test_a_text_that_fits_stays_and_a_long_name_keeps_its_end() -> None:
    assert shortened("conv_62", 200, 0.42) == "conv_62"
    assert shortened("000000123456.jpg", 90, 0.42).endswith("3456.jpg")
    assert shortened("Zürich", 200, 0.42) == "Z?rich"


@given(st.text(max_size=80), st.integers(20, 300), st.integers(1, 4))
def test_wrapping_keeps_every_word_in_order(text: str, width: int, lines: int) -> None:
    done = wrapped(text, width, lines=lines)
    assert len(done) <= lines
    assert " ".join(done).split() == text.split()
    for line in done[:-1]:
        assert len(line.split()) == 1 or text_width(line, 0.42) <= width


def ink(picture: NDArray[np.uint8]) -> int:
    return int((255 - picture.astype(int)).sum())


@pytest.mark.parametrize(("line", "size"), [(18, 0.42), (16, 0.42), (15, 0.36)])
def test_letters_are_whole_and_leave_their_line_to_nobody(line: int, size: float) -> None:
    tall = strip(["gjpq[]|yQ"], 120, line=100, size=size)
    drawn = strip(["gjpq[]|yQ", "", "gjpq[]|yQ"], 120, line=line, size=size)
    assert drawn.shape == (3 * line, 120, 3)
    assert ink(drawn[:line]) == ink(drawn[2 * line :]) == ink(tall)
    assert ink(strip(["wide " * 30], 120)[:, -3:]) == 0
