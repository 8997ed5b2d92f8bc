"""The network that a table on disk is for, and what is said about the table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from quantkit.backends.child import in_child
from quantkit.calibration.finding import Finding, counts
from quantkit.calibration.layer_inputs import no_crops
from quantkit.calibration.provenance import Provenance, read_provenance
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import read_table
from quantkit.calibration.table_lines import table_text
from quantkit.data.coco import Person, load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import InputError, QuantkitError
from quantkit.model.eligibility import int8_layers, refuse_int8
from quantkit.model.interface import ncnn_input_shape
from quantkit.model.network import Network, read_network
from quantkit.model.param import read_param
from quantkit.model.shape_rule import Shape
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import read_weights
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.exporting import fp32_network
from quantkit.project.prepared import network_beside
from quantkit.quantization.lint_ranges import Ranges
from quantkit.quantization.table_diff import TableDiff, diff_tables
from quantkit.quantization.table_lint import lint_table
from quantkit.quantization.table_rows import TableRow, table_rows
from quantkit.storage import sha256_file

SCHEMA = 1
_CROPS: Final = 4


@dataclass(frozen=True)
class TableModel:
    """An fp32 network to hold a table against.

    Attributes:
        network: The network.
        shapes: Shape by blob name; empty where the input's shape is not known.
        name: Where it came from, for a person.
        files: Where it lies, and its project, where it is a project's.
    """

    network: Network
    shapes: Mapping[str, Shape]
    name: str
    files: tuple[NcnnFiles, Project] | None = None


def project_model(project: Project, table: Path, feedback: Feedback) -> TableModel:
    """Take the network beside a table, else the model of a project, exported where it is not yet.

    Args:
        project: The project.
        table: The table.
        feedback: Told how the export goes.

    Raises:
        InputError: The model cannot be converted.
    """
    files = network_beside(table, fp32_network(project, feedback))
    network = read_network(files)
    refuse_int8(network)
    shapes = _shapes(network, {files.input: project.input.shape})
    return TableModel(network, shapes, project.name, (files, project))


def ncnn_model(param: Path, weights: Path, size: tuple[int, int] | None = None) -> TableModel:
    """Take an ncnn pair.

    Args:
        param: The .param file.
        weights: The .bin file.
        size: Width and height of its input, where the .param does not say.

    Raises:
        InputError: A file cannot be read or is malformed.
    """
    graph = read_param(param)
    network = Network(graph, read_weights(graph, weights))
    refuse_int8(network)
    given: dict[str, Shape] = {}
    inputs = [blob for layer in graph.layers if layer.type == "Input" for blob in layer.tops]
    if size is not None and inputs:
        channels = ncnn_input_shape(graph, inputs[0])[0] or 3
        given = {inputs[0]: (channels, size[1], size[0])}
    return TableModel(network, _shapes(network, given), param.name)


def check_table_file(
    table: Path, model: TableModel | None, ranges: Ranges | None = None
) -> tuple[Finding, ...]:
    """Find what is wrong with a table file.

    Args:
        table: The file, ncnn2table's own included.
        model: The network that it is for; without it only the lines are looked at.
        ranges: Of its layers' inputs, from `known_ranges`.

    Raises:
        InputError: The file cannot be read.
    """
    text = table_text(table)
    if model is None:
        return lint_table(text)
    findings = lint_table(text, model.network, model.shapes, ranges)
    return (*findings, *_origin_findings(table, model))


def known_ranges(
    table: Path, model: TableModel | None, count: int | None, feedback: Feedback
) -> Ranges | None:
    """Find the ranges of the layers' inputs: those in the table's `.json`, else of a few crops.

    Args:
        table: The table.
        model: The network that it is for.
        count: How many calibration crops of the project to run; 0 for none. By default 4 where
            the `.json` has no ranges of this network.
        feedback: Told why there are none, where crops were not asked for.

    Raises:
        InputError: Crops were asked for and there are none, or the network cannot run them.
        BackendDied: Crops were asked for, and ncnn died of the network.
    """
    if count and (model is None or model.files is None):
        raise InputError("--crops needs the data of a project: give --project without --param")
    if model is None:
        return None
    origin, beside = _origin(table), table.with_suffix(".json").name
    if not count and origin is not None and origin.network_sha256 == model.network.sha256:
        ranges = {name: one.absmax for name, one in origin.layers.items()}
        if ranges:
            return Ranges(ranges, f"in {beside}")
    if count == 0 or model.files is None:
        return None
    try:
        return _ranges_of_crops(model, count or _CROPS, feedback)
    except QuantkitError as error:
        if count:
            raise
        feedback.note(f"thresholds were not compared with crops: {error}")
        return None


def _ranges_of_crops(model: TableModel, count: int, feedback: Feedback) -> Ranges:
    assert model.files is not None
    files, project = model.files
    data = project.calibration
    persons = load_dataset(data.annotations, data.images, keypoints=False).persons
    chosen = persons[:: max(1, len(persons) // count)][:count]
    if not chosen:
        raise no_crops()
    found = in_child("ncnn on a few crops", feedback, largest_inputs, project, files, chosen)
    return Ranges(found, f"in {len(chosen)} crops")


def largest_inputs(
    feedback: Feedback, project: Project, files: NcnnFiles, persons: Sequence[Person]
) -> dict[str, float]:
    """Find the largest absolute value that each layer that can be int8 reads.

    Args:
        feedback: Told how it goes.
        project: The project, whose input the crops become.
        files: The fp32 network.
        persons: Whose crops are run.

    Raises:
        InputError: A crop or the network cannot be used.
    """
    network = read_network(files)
    layers = [layer.name for layer in int8_layers(network)]
    tensors = (crop.tensor for crop in crops(persons, project.input))
    found = collect_streaming(
        network, files.input, tensors, layers, feedback.progress, total=len(persons)
    )
    return {name: one.absmax for name, one in found.items()}


def findings_json(
    table: Path, model: TableModel | None, findings: tuple[Finding, ...]
) -> dict[str, Any]:
    """Make the JSON object of `quantkit table check --json`."""
    return {
        "schema": SCHEMA,
        "table": str(table),
        "model": None if model is None else model.name,
        "counts": dict(counts(findings)),
        "findings": [asdict(finding) for finding in findings],
    }


def table_file_rows(table: Path, model: TableModel | None) -> tuple[TableRow, ...]:
    """Lay a table file out by layer, with the reasons of the .json beside it.

    Raises:
        InputError: The table cannot be read or is malformed.
    """
    scales, left_out = read_table(table), _left_out(table)
    if model is None:
        return table_rows(scales, left_out=left_out)
    return table_rows(scales, model.network, model.shapes, left_out)


def rows_json(table: Path, model: TableModel | None, rows: tuple[TableRow, ...]) -> dict[str, Any]:
    """Make the JSON object of `quantkit table show --json`."""
    return {
        "schema": SCHEMA,
        "table": str(table),
        "model": None if model is None else model.name,
        "layers": [asdict(row) for row in rows],
    }


def diff_table_files(first: Path, second: Path) -> TableDiff:
    """Compare two table files.

    Raises:
        InputError: One of them cannot be read or is malformed.
    """
    return diff_tables(read_table(first), read_table(second))


def diff_json(first: Path, second: Path, diff: TableDiff) -> dict[str, Any]:
    """Make the JSON object of `quantkit table diff --json`."""
    changes = [{**asdict(change), "ratio": change.ratio} for change in diff.changes]
    return {
        "schema": SCHEMA,
        "first": str(first),
        "second": str(second),
        **asdict(diff),
        "changes": changes,
    }


def _left_out(table: Path) -> Mapping[str, str]:
    origin = _origin(table)
    return origin.left_out if origin and origin.table_sha256 == sha256_file(table) else {}


def _origin_findings(table: Path, model: TableModel) -> Iterator[Finding]:
    origin, beside = _origin(table), table.with_suffix(".json").name
    if origin is None:
        return
    if origin.table_sha256 != sha256_file(table):
        message = f"is not the table that {beside} describes"
        yield Finding("warning", None, None, message, "give it another name, or calibrate again")
    if origin.network_sha256 != model.network.sha256:
        message = f"was made for another network than {model.name}, says {beside}"
        fix = "give that network with --param and --bin, or calibrate again"
        yield Finding("error", None, None, message, fix)


def _origin(table: Path) -> Provenance | None:
    beside = table.with_suffix(".json")
    try:
        return read_provenance(beside) if beside.is_file() else None
    except InputError:
        return None


def _shapes(network: Network, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
    try:
        return blob_shapes(network.param, inputs)
    except InputError:
        # Some types make shapes that depend on more than shapes: what needs them is left out.
        return {}
