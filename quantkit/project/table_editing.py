"""A table made from another one by hand: layers left in fp32, thresholds moved, each with why."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.calibration.table_lines import (
    TableLine,
    activation_problem,
    printed,
    table_lines,
    table_text,
)
from quantkit.errors import InputError
from quantkit.model.graph import Graph
from quantkit.model.layer import Layer
from quantkit.model.layer_patterns import matching_layers
from quantkit.model.network import Network
from quantkit.progress import Feedback
from quantkit.project.calibrating import OpenedTable, open_table
from quantkit.project.config import Project
from quantkit.project.prepared import write_prepared
from quantkit.project.table_location import table_label, table_path
from quantkit.project.table_origin import note_origin, table_origin
from quantkit.quantization.requantize import fusible
from quantkit.quantization.table_check import check_table
from quantkit.storage import (
    from_here,
    must_write,
    sha256_bytes,
    sha256_file,
    write_atomically,
)

_LEFT_OUT: Final = "taken out with 'quantkit table edit'"


@dataclass(frozen=True)
class TableEdit:
    """What is changed in a table.

    Attributes:
        fp32: Layers that lose their lines, as `matching_layers` takes them.
        thresholds: By layer: the absolute input value that becomes 127.
        reason: Why.

    Raises:
        InputError: Nothing is changed, or a threshold is not a positive finite number.
    """

    fp32: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.fp32 and not self.thresholds:
            message = "nothing to change: give --fp32 LAYER or --threshold LAYER=VALUE"
            raise InputError(message)
        for name, value in self.thresholds.items():
            problem = "is not a positive finite number"
            if math.isfinite(value) and value > 0:
                problem = activation_problem(127 / value) or ""
            if problem:
                raise InputError(f"the threshold {value:g} of layer '{name}': {problem}")


@dataclass(frozen=True)
class Change:
    """One layer that was changed.

    Attributes:
        layer: Its name.
        threshold: What its threshold is now; None where it is in fp32.
        before: What it was; None where that cannot be read.
        reason: Why.
    """

    layer: str
    threshold: float | None
    before: float | None
    reason: str | None


@dataclass(frozen=True)
class EditedTable:
    """A table that was written.

    Attributes:
        table: The table.
        parent: What it was made from.
        changes: What differs.
        layers: How many layers are int8.
        note: What cannot be said of it; None where its parent's origin is known.
    """

    table: Path
    parent: Path
    changes: tuple[Change, ...]
    layers: int
    note: str | None

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit table edit --json`."""
        return {
            "schema": 1,
            "table": str(self.table),
            "parent": str(self.parent),
            "changes": [asdict(change) for change in self.changes],
            "int8_layers": self.layers,
            "table_note": self.note,
        }

    def lines(self) -> list[str]:
        """Say what was written, a line each."""
        return [
            f"table       {from_here(self.table)}",
            f"from        {from_here(self.parent)}",
            *(f"  {change.layer}: {_said(change)}" for change in self.changes),
            f"{self.layers} layers in int8",
        ]


def edit_table(
    project: Project,
    table: str | Path,
    edit: TableEdit,
    name: str,
    *,
    threads: int = 2,
    feedback: Feedback,
    overwrite: bool = False,
) -> EditedTable:
    """Write a table of the project that differs from another one in some layers.

    All other lines stay as they are, to the byte. The network of the table, where it has one of
    its own, is written beside the new one.

    Args:
        project: The project.
        table: The table to begin with: a name or a path.
        edit: What is changed.
        name: Name of the new table.
        threads: Worker threads, where a method's table has to be made.
        feedback: Told what cannot be said of the table.
        overwrite: Replace a table that has other content.

    Raises:
        InputError: A layer is not in the table, the result would be no table of the network, or
            another table of that name is there.
    """
    path = table_path(project, name)
    opened = open_table(project, table, threads=threads, feedback=feedback)
    parent = opened.table
    if path == parent:
        message = f"table '{name}' would replace the one that is edited; give another name"
        raise InputError(message)
    text = table_text(parent)
    lines = table_lines(text)
    changes = _changes(opened, edit, lines)
    edited = _edited(lines, changes)
    scales = _checked(opened.network, edited, text, parent)
    left_out = {
        **opened.left_out(scales),
        **{one.layer: one.reason or _LEFT_OUT for one in changes if one.threshold is None},
    }
    origin = replace(
        opened.origin.of_table(scales, sha256_bytes(edited.encode()), left_out),
        parent={"table": table_label(project, parent), "sha256": sha256_file(parent)},
        edits=(*opened.origin.edits, *map(asdict, changes)),
    )
    if origin.unknown is not None:
        why = f"it was edited from {table_label(project, parent)}, of which {origin.unknown}"
        origin = replace(origin, unknown=why)
    _write(path, edited, origin.text(), opened, overwrite=overwrite)
    note_origin(project, path, feedback)
    return EditedTable(path, parent, changes, len(scales.layers), table_origin(path).note)


def _write(path: Path, table: str, origin: str, opened: OpenedTable, *, overwrite: bool) -> None:
    outputs = {path.with_suffix(".json"): origin, path: table}
    for output, text in outputs.items():
        must_write(output, sha256_bytes(text.encode()), overwrite=overwrite)
    # The network first: a table without the network that it belongs to is refused.
    write_prepared(path, opened.exported, opened.network, overwrite=overwrite)
    for output, text in outputs.items():
        write_atomically(output, text)


def _changes(
    opened: OpenedTable, edit: TableEdit, lines: Sequence[TableLine]
) -> tuple[Change, ...]:
    before = {one.layer: one.scales for one in lines if one.weights_of is None and not one.comment}
    names = dict.fromkeys(one.layer for one in lines if one.key and not one.comment)
    known = opened.network.param.by_name
    # What the network has not got can be taken out, too.
    layers = [known.get(one) or Layer("", one, (), ()) for one in names]
    where = f"table '{opened.table.stem}'"
    fp32 = matching_layers(edit.fp32, layers, where)
    thresholds = _thresholds(opened.network, edit, before, fp32, where)

    def change(name: str, threshold: float | None, reason: str | None) -> Change:
        scales = before.get(name)
        return Change(name, threshold, 127 / scales[0] if scales else None, reason)

    return (
        *(change(name, None, edit.reason) for name in fp32),
        *(change(name, *moved) for name, moved in thresholds.items()),
    )


def _thresholds(
    network: Network,
    edit: TableEdit,
    before: Mapping[str, Any],
    fp32: Sequence[str],
    where: str,
) -> dict[str, tuple[float, str | None]]:
    """Give the layers that share an int8 blob one threshold: it can be written with one alone."""
    for name in edit.thresholds:
        if name not in before:
            matching_layers([name], [Layer("", one, (), ()) for one in before], where)
            raise InputError(f"--threshold takes the name of one layer, not '{name}'")
        if name in fp32:
            raise InputError(f"layer '{name}' is to be in fp32 and to have a threshold: give one")
    groups = fusible(Graph(network.param), [one for one in before if one not in fp32]).values()
    found: dict[str, tuple[float, str | None]] = {}
    for name, value in edit.thresholds.items():
        found[name] = (value, edit.reason)
        for reader in next((one for one in groups if name in one), ()):
            if edit.thresholds.get(reader, value) != value:
                message = f"layers '{name}' and '{reader}' read one int8 blob"
                raise InputError(f"{message}: give both the same threshold")
            if reader not in edit.thresholds:
                found[reader] = (value, f"reads the same int8 blob as '{name}'")
    return found


def _edited(lines: Sequence[TableLine], changes: Sequence[Change]) -> str:
    new = {one.layer: one.threshold for one in changes}
    kept: list[str] = []
    for line in lines:
        threshold = new.get(line.layer)
        if line.comment or line.layer not in new:
            kept.append(line.raw)
        elif threshold is not None:
            moved = f"{line.key} {printed(127 / threshold):f} "
            kept.append(moved if line.weights_of is None else line.raw)
    return "".join(f"{line}\n" for line in kept)


def _checked(network: Network, edited: str, text: str, parent: Path) -> CalibrationTable:
    if not edited.strip():
        message = "no layer would be left in int8: run the network in fp32"
        raise InputError(message, path=parent)
    try:
        scales = parse_table(edited)
    except InputError:
        # The lines of an error are those of the table that is there, if that has it, too.
        parse_table(text, parent)
        raise
    if not check_table(network, scales):
        message = "no layer would be left in int8: run the network in fp32"
        raise InputError(message, path=parent)
    return scales


def _said(change: Change) -> str:
    why = f" ({change.reason})" if change.reason else ""
    if change.threshold is None:
        return f"in fp32{why}"
    was = "" if change.before is None else f", was {change.before:.4g}"
    return f"threshold {change.threshold:.4g}{was}{why}"
