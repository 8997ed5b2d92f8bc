"""Where the crops of a contact sheet go: how large, how many in a row, and how many at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quantkit.report.captions import wrapped

GAP: Final = 6
MARGIN: Final = 12
_WIDTH, _HEIGHT = 1600, 4000
_HEIGHTS: Final = (256, 208, 160, 128, 104, 88, 76)
_NARROWEST_CELL: Final = 84
_NARROWEST_SHEET: Final = 640
TITLE, HEADING = 0.7, 0.5
"""Scales of the letters."""
_LINES: Final = 5


@dataclass(frozen=True)
class Shape:
    """One crop and its caption.

    Attributes:
        width: Of the crop, in pixels.
        height: Of the crop, in pixels.
    """

    width: int
    height: int

    @property
    def cell_width(self) -> int:
        """Width of crop and caption, in pixels."""
        return max(self.width, _NARROWEST_CELL)

    @property
    def text(self) -> float:
        """Scale of the caption's letters."""
        return 0.42 if self.cell_width >= 120 else 0.36

    @property
    def line(self) -> int:
        """Height of a line of the caption, in pixels."""
        return 16 if self.cell_width >= 120 else 15

    def broken(self, caption: str) -> list[str]:
        """Break a caption into its lines."""
        return wrapped(caption, self.cell_width, lines=_LINES, size=self.text)


@dataclass(frozen=True)
class Layout:
    """A whole sheet.

    Attributes:
        shape: Of every crop.
        columns: Crops in a row.
        width: Of the sheet, in pixels.
        lines: Of each group's captions.
        shown: How many crops of each group there is room for.
    """

    shape: Shape
    columns: int
    width: int
    lines: tuple[int, ...]
    shown: tuple[int, ...]


def lay_out(captions: Sequence[Sequence[str]], size: tuple[int, int]) -> Layout:
    """Find the largest crops with which all groups fit a sheet of about 1600 x 4000 pixels.

    Where none are small enough, the groups share the rows: the ones that need few get all theirs.

    Args:
        captions: Of every crop, group by group.
        size: Width and height of the network's input.
    """
    for height in _HEIGHTS:
        shape = Shape(max(1, round(height * size[0] / size[1])), height)
        layout = _fill(captions, shape)
        if layout.shown == tuple(len(group) for group in captions):
            break
    return layout


def heading_height(size: float) -> int:
    """Height of a heading whose letters have this scale, in pixels."""
    return round(56 * size)


def _fill(captions: Sequence[Sequence[str]], shape: Shape) -> Layout:
    pitch = shape.cell_width + GAP
    columns = max(1, min((_WIDTH - 2 * MARGIN) // pitch, max(map(len, captions), default=1)))
    lines = tuple(max(len(shape.broken(caption)) for caption in group) for group in captions)
    heights = [shape.height + count * shape.line + GAP for count in lines]
    room = _HEIGHT - heading_height(TITLE) - len(captions) * heading_height(HEADING)
    rows = _shared([-(-len(group) // columns) for group in captions], heights, room)
    shown = tuple(min(len(group), r * columns) for group, r in zip(captions, rows, strict=True))
    width = max(_NARROWEST_SHEET, columns * pitch + 2 * MARGIN)
    return Layout(shape, columns, width, lines, shown)


def _shared(wanted: Sequence[int], heights: Sequence[int], room: int) -> list[int]:
    """Share the room out among groups, those that need least first; each gets a row at least."""
    rows = [0] * len(wanted)
    need = [count * height for count, height in zip(wanted, heights, strict=True)]
    order = sorted(range(len(wanted)), key=lambda group: need[group])
    for place, group in enumerate(order):
        part = room // (len(order) - place)
        rows[group] = max(1, min(wanted[group], part // heights[group]))
        room -= rows[group] * heights[group]
    return rows
