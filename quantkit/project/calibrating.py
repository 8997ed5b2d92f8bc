"""The calibration step: crops, statistics, table, int8 model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.backends.child import in_child
from quantkit.backends.export_report import ExportReport
from quantkit.calibration.provenance import Provenance, provenance, write_table
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.model.eligibility import (
    INT8_TYPES,
    fp32_only,
    hazards,
    int8_layers,
    more_in_ncnn2int8,
    require_quantizable,
)
from quantkit.model.input_fit import check_input
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.calibration_request import NAMES, CalibrationRequest
from quantkit.project.choosing import choose_set, open_set
from quantkit.project.config import Project
from quantkit.project.exporting import export_model
from quantkit.project.prepared import own_network, write_prepared
from quantkit.project.quantizing import write_int8
from quantkit.project.table_location import existing_table, find_table, table_label, table_path
from quantkit.project.table_making import make_table
from quantkit.project.table_origin import (
    is_unchanged,
    known_provenance,
    refuse_another,
    table_origin,
    wanted_origin,
)
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.resolve import resolve
from quantkit.storage import from_here, sha256_file


@dataclass(frozen=True)
class Calibrated:
    """A calibrated model on disk.

    Attributes:
        table: The calibration table.
        calibration_set: Name of the set that it was made from; None where that is not known.
        fp32: The fp32 network as it was exported.
        prepared: The fp32 network that the table belongs to, which may be the same.
        int8: The int8 network.
        layers: How many layers are int8.
        left_out: Layer to the reason why it stays in fp32.
        notes: Layer to what was handled in it.
        origin: Where the table comes from, as far as it is known.
    """

    table: Path
    calibration_set: str | None
    fp32: NcnnFiles
    prepared: NcnnFiles
    int8: NcnnFiles
    layers: int
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    origin: Provenance

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """What each step of `best` did."""
        return self.origin.steps

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit calibrate --json`."""
        return {
            "schema": 1,
            "table": str(self.table),
            "calibration_set": self.calibration_set,
            "param": str(self.int8.param),
            "bin": str(self.int8.bin),
            "int8_layers": self.layers,
            "left_out": dict(self.left_out),
            "notes": dict(self.notes),
            "steps": [dict(step) for step in self.steps],
        }

    def lines(self) -> list[str]:
        """Say what was written, a line each."""
        prepared = [f"its network {from_here(self.prepared.param)}"]
        return [
            f"table       {from_here(self.table)}",
            *(prepared if self.prepared != self.fp32 else []),
            f"int8 model  {from_here(self.int8.param)}",
            f"            {from_here(self.int8.bin)}",
            f"{self.layers} layers in int8, {len(self.left_out)} left in fp32",
            *(f"  {name}: {reason}" for name, reason in self.left_out.items()),
            *(f"  {name}: {note}" for name, note in self.notes.items()),
        ]


def calibrate_model(
    project: Project,
    request: CalibrationRequest,
    *,
    exported: ExportReport | None = None,
    threads: int = 2,
    feedback: Feedback,
    overwrite: bool = False,
) -> Calibrated:
    """Choose crops, collect statistics, write the table and the int8 model.

    A table whose model, calibration set, method and versions are unchanged is reused.

    Args:
        project: The project.
        request: What to do.
        exported: The exported model, where it is at hand.
        threads: Worker threads.
        feedback: Told how it goes and what is reused.
        overwrite: Replace a table or a manifest that has other content.

    Raises:
        InputError: The model or the data cannot be used, or an output has other content.
        Unavailable: A package that the export needs is not installed.
        BackendDied: A conversion, or ncnn on the network, crashed.
    """
    table = table_path(project, request.table_name)
    exported = exported or export_model(project, feedback)
    fp32 = exported.ncnn
    network = read_network(fp32)
    require_quantizable(network, {} if request.keep_hazards else _hazards(project, network, fp32))
    request.kept_fp32(network)
    chosen = _calibration_set(project, request, feedback, threads=threads, overwrite=overwrite)
    wanted = wanted_origin(project, request, chosen, network)
    if is_unchanged(table, network, wanted, request.budget_s):
        feedback.note(f"nothing changed, table reused: {from_here(table)}")
    else:
        persons = resolve(chosen, project.calibration.images)
        made = in_child(
            "the calibration", feedback, make_table, project, fp32, persons, request, threads
        )
        if made.left_out:
            cut = {"budget_s": request.budget_s, "left_out": list(made.left_out)}
            wanted["recipe"] = {**wanted["recipe"], **cut}
        origin = provenance(
            made.calibration,
            network,
            made.statistics,
            prepared=made.network,
            steps=[step.to_json() for step in made.steps],
            **wanted,
        )
        # The network first: a table without the network that it belongs to is refused.
        write_prepared(table, network, made.network, overwrite=overwrite)
        write_table(table, made.calibration, origin, overwrite=overwrite)
    if (more := more_in_ncnn2int8(network)) is not None:
        feedback.note(more)
    return ready_table(project, table.stem, exported=exported, feedback=feedback)


@dataclass(frozen=True)
class OpenedTable:
    """A table with the network that it belongs to.

    Attributes:
        table: The file.
        fp32: The fp32 network as it was exported.
        prepared: The fp32 network that the table belongs to, which may be the same.
        exported: `fp32`, read.
        network: `prepared`, read.
        origin: Where the table comes from, as far as it is known; of a table that was edited
            since, what it was before.
        intact: Whether `origin` is of the table as it is.
        note: What cannot be said of the table; None where its origin is known.
    """

    table: Path
    fp32: NcnnFiles
    prepared: NcnnFiles
    exported: Network
    network: Network
    origin: Provenance
    intact: bool
    note: str | None

    def left_out(self, scales: CalibrationTable) -> dict[str, str]:
        """Say why layers that have no scales have none, as far as it is known."""
        told = {**fp32_only(self.network), **self.origin.left_out}
        names = [*told, *(layer.name for layer in int8_layers(self.network))]
        absent = [name for name in dict.fromkeys(names) if name not in scales.layers]
        return {name: told.get(name, "has no lines in the table") for name in absent}


def open_table(
    project: Project,
    name: str | Path,
    *,
    exported: ExportReport | None = None,
    threads: int = 2,
    feedback: Feedback,
) -> OpenedTable:
    """Find a table and its network; a method's table of the project that is absent is made.

    A table without a `.json`, or with one of what it was before an edit, is taken all the same:
    what is not known of it is not checked.

    Args:
        project: The project.
        name: Name of a table of the project, or the path of any.
        exported: The exported model, where it is at hand.
        threads: Worker threads, where the table has to be made.
        feedback: Told how it goes.

    Raises:
        InputError: There is no such table, or its `.json` says that it was made for another
            model, input or set.
    """
    table = find_table(project, name)
    if not table.is_file() and table_label(project, table) in NAMES:
        calibrate_model(
            project,
            CalibrationRequest(method=table.stem),
            exported=exported,
            threads=threads,
            feedback=feedback,
        )
    table = existing_table(project, name)
    fp32 = (exported or export_model(project, feedback)).ncnn
    network, known = read_network(fp32), table_origin(table)
    require_quantizable(network)
    if known.described is not None and known.intact:
        refuse_another(project, table, known.described, network)
    prepared = own_network(table, known, fp32)
    own = read_network(prepared)
    origin = known_provenance(project, known, network, own)
    return OpenedTable(table, fp32, prepared, network, own, origin, known.intact, known.note)


def ready_table(
    project: Project,
    name: str | Path,
    *,
    exported: ExportReport | None = None,
    threads: int = 2,
    feedback: Feedback,
) -> Calibrated:
    """Open a table with its int8 model; arguments and errors are those of `open_table`."""
    opened = open_table(project, name, exported=exported, threads=threads, feedback=feedback)
    table, origin = opened.table, opened.origin
    written = write_int8(project, opened.network, opened.prepared, table)
    if not opened.intact:
        scales = read_table(table)
        origin = origin.of_table(scales, sha256_file(table), opened.left_out(scales))
    return Calibrated(
        table=table,
        calibration_set=origin.calibration_set,
        fp32=opened.fp32,
        prepared=opened.prepared,
        int8=written.files,
        layers=len(written.layers),
        left_out=origin.left_out,
        notes={**origin.notes, **written.differing},
        origin=origin,
    )


def _hazards(project: Project, network: Network, fp32: NcnnFiles) -> Mapping[str, str]:
    shapes = check_input(network.param, fp32.input, project.input.shape)
    known = all(x.bottoms[0] in shapes for x in network.param.layers if x.type in INT8_TYPES)
    return hazards(network, shapes) if known else {}


def _calibration_set(
    project: Project,
    request: CalibrationRequest,
    feedback: Feedback,
    *,
    threads: int,
    overwrite: bool,
) -> CalibrationSet:
    if request.calib_set is not None:
        return open_set(project, request.calib_set, feedback)
    return choose_set(
        project, request.selected, threads=threads, feedback=feedback, overwrite=overwrite
    )
