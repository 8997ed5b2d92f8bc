"""Person crops side by side as the network sees them, so that a person can look at a set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from quantkit.data.coco import Person
from quantkit.data.preprocess import Crop, InputSpec, crops
from quantkit.progress import Progress, silent
from quantkit.report.captions import BLACK, Color, Image, png, strip
from quantkit.report.sheet_layout import (
    GAP,
    HEADING,
    MARGIN,
    TITLE,
    Layout,
    Shape,
    heading_height,
    lay_out,
)

_RED: Final[Color] = (40, 40, 210)
_FRAME: Final = 3


@dataclass(frozen=True)
class Tile:
    """One crop of a sheet.

    Attributes:
        person: Who is drawn.
        caption: A few words under the crop.
        mark: Draw it with a red frame and red words.
    """

    person: Person
    caption: str
    mark: bool = False


@dataclass(frozen=True)
class Group:
    """Crops under one heading."""

    heading: str
    tiles: tuple[Tile, ...]


def draw_contact_sheet(
    groups: Sequence[Group], title: str, spec: InputSpec, progress: Progress = silent
) -> bytes:
    """Draw the crops of persons, group by group, each with its caption.

    The more crops, the smaller they are drawn. The sheet is at most 1600 pixels wide and about
    4000 high; of a group that does not fit whole, the heading says how many crops are left out.

    Args:
        groups: What is drawn; a group without crops is left out.
        title: The sheet's first line.
        spec: The network's input, as which each person is cut out.
        progress: Called after every crop, stage "crops".

    Returns:
        A PNG file.

    Raises:
        InputError: An image is missing, broken or truncated.
    """
    groups = [group for group in groups if group.tiles]
    layout = lay_out([[tile.caption for tile in group.tiles] for group in groups], spec.size)
    shown = [group.tiles[:count] for group, count in zip(groups, layout.shown, strict=True)]
    stream = crops([tile.person for tiles in shown for tile in tiles], spec, progress)
    blocks = [_heading(title, layout, size=TITLE)]
    for group, tiles, lines in zip(groups, shown, layout.lines, strict=True):
        blocks.append(_heading(_counted(group, len(tiles)), layout, size=HEADING))
        blocks += _rows(tiles, stream, spec, lines, layout)
    # The stream tells of a crop when it is asked for the next one.
    next(stream, None)
    return png(np.vstack(blocks))


def _counted(group: Group, shown: int) -> str:
    there = len(group.tiles)
    if shown == there:
        return f"{group.heading}: {there}"
    return f"{group.heading}: {shown} of {there}, and {there - shown} more"


def _heading(text: str, layout: Layout, *, size: float) -> Image:
    line = heading_height(size)
    words = strip([text], layout.width - 2 * MARGIN, line=line, size=size)
    return _framed(words, MARGIN, layout.width)


def _rows(
    tiles: Sequence[Tile], stream: Iterator[Crop], spec: InputSpec, lines: int, layout: Layout
) -> Iterator[Image]:
    for start in range(0, len(tiles), layout.columns):
        row = tiles[start : start + layout.columns]
        cells = [_cell(tile, next(stream), spec, lines, layout.shape) for tile in row]
        yield _framed(np.hstack(cells), MARGIN, layout.width)


def _framed(picture: Image, left: int, width: int) -> Image:
    row = np.full((picture.shape[0], width, 3), 255, np.uint8)
    row[:, left : left + picture.shape[1]] = picture
    return row


def _cell(tile: Tile, crop: Crop, spec: InputSpec, lines: int, shape: Shape) -> Image:
    """A crop, its caption under it, and the gaps to the next ones."""
    height, width = shape.height + lines * shape.line + GAP, shape.cell_width + GAP
    cell = np.full((height, width, 3), 255, np.uint8)
    left = (shape.cell_width - shape.width) // 2
    cell[: shape.height, left : left + shape.width] = _picture(crop, spec, shape)
    if tile.mark:
        corner = (left + shape.width - 1, shape.height - 1)
        cv2.rectangle(cell, (left, 0), corner, _RED, _FRAME)
    color = _RED if tile.mark else BLACK
    words = strip(
        shape.broken(tile.caption), shape.cell_width, line=shape.line, size=shape.text, color=color
    )
    top = shape.height + _FRAME
    cell[top : top + len(words), : shape.cell_width] = words
    return cell


def _picture(crop: Crop, spec: InputSpec, shape: Shape) -> Image:
    planes = crop.pixels[::-1] if spec.color == "rgb" else crop.pixels
    planes = np.broadcast_to(planes, (3, *planes.shape[1:]))
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    smaller = shape.height < spec.size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (shape.width, shape.height), interpolation=how), np.uint8)
