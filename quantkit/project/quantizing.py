"""The quantization step: the int8 model of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.model.eligibility import quantized_layers, require_quantizable
from quantkit.model.graph import Graph
from quantkit.model.network import Network, read_network, write_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.exporting import fp32_network
from quantkit.project.prepared import own_network
from quantkit.project.table_files import TableModel
from quantkit.project.table_location import existing_table, work_stem
from quantkit.project.table_origin import note_origin, table_origin
from quantkit.quantization.int8 import quantize
from quantkit.quantization.loaded import LoadedLayers, loaded_layers
from quantkit.quantization.table_lint import fitting_table
from quantkit.storage import from_here


@dataclass(frozen=True)
class WrittenInt8:
    """An int8 network on disk.

    Attributes:
        files: Its .param and .bin.
        layers: The layers that are int8.
        loaded: What became of them in ncnn; None where the files were there already.
        table_note: What cannot be said of the table; None where its origin is known.
    """

    files: NcnnFiles
    layers: tuple[str, ...]
    loaded: LoadedLayers | None = None
    table_note: str | None = None

    @property
    def differing(self) -> Mapping[str, str]:
        """What is wrong with layers that should be int8, by layer."""
        return {} if self.loaded is None else self.loaded.differing

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit quantize --json`."""
        return {
            "schema": 1,
            "param": str(self.files.param),
            "bin": str(self.files.bin),
            "int8_layers": list(self.layers),
            "differing": dict(self.differing),
            "table_note": self.table_note,
        }

    def lines(self) -> list[str]:
        """Say what was written, a line each."""
        return [
            f"int8 model  {from_here(self.files.param)}",
            f"            {from_here(self.files.bin)}",
            f"{len(self.layers)} layers in int8",
            *([] if self.loaded is None else self.loaded.lines()),
        ]


def quantize_model(project: Project, table: str | Path, feedback: Feedback) -> WrittenInt8:
    """Write the int8 model of any table that fits the project's model.

    Args:
        project: The project.
        table: Name of a table of the project, or the path of any, ncnn2table's own included. With
            NAME.param and NAME.bin beside it, it belongs to that network.
        feedback: Told how the export goes, if there is one.

    Raises:
        InputError: The table is wrong or does not fit; line and layer are named.
    """
    path = existing_table(project, table)
    origin = table_origin(path)
    fp32 = own_network(path, origin, fp32_network(project, feedback))
    note_origin(project, path, feedback)
    written = write_int8(project, read_network(fp32), fp32, path)
    return replace(written, table_note=origin.note)


def quantize_pair(
    table: Path, model: TableModel, folder: Path, feedback: Feedback, *, overwrite: bool = False
) -> WrittenInt8:
    """Write the int8 model of a table and an ncnn pair, without a project, as NAME-int8.

    Args:
        table: The calibration table.
        model: The fp32 network.
        folder: Where the model goes.
        feedback: Told what cannot be said of the table.
        overwrite: Replace files that have other content.

    Raises:
        InputError: The table is wrong or does not fit, its `.json` names another network, or other
            files lie there.
        BackendDied: ncnn died of the int8 model.
    """
    origin = table_origin(table)
    described = origin.described
    if described is not None and described.network_sha256 != model.network.sha256:
        message = f"was made for another network than {model.name}, says"
        beside = table.with_suffix(".json").name
        raise InputError(f"{message} {beside}; give that one with --param and --bin", path=table)
    graph = Graph(model.network.param)
    inputs = [top for one in model.network.param.layers if one.type == "Input" for top in one.tops]
    if not inputs:
        raise InputError("has no Input layer, so ncnn cannot run it", path=model.name)
    ends = tuple(blob for blob in graph.blobs if not graph.readers(blob))
    param, weights = (folder / f"{table.stem}-int8{end}" for end in (".param", ".bin"))
    files = NcnnFiles(param, weights, inputs[0], ends)
    shape = model.shapes.get(inputs[0], ()) if len(inputs) == 1 else ()
    written = _write(model.network, table, files, shape, overwrite=overwrite)
    if origin.note is not None:
        feedback.note(f"table {table.name}: {origin.note}")
    return replace(written, table_note=origin.note)


def write_int8(project: Project, network: Network, fp32: NcnnFiles, table: Path) -> WrittenInt8:
    """Write the int8 model of a table into the project's work folder, where it may be replaced.

    New files are loaded in a child process, to see that the layers run as they should.

    Args:
        project: The project.
        network: The fp32 network.
        fp32: Its files.
        table: The calibration table.

    Raises:
        InputError: The table does not fit the network, or the files cannot be written.
        BackendDied: ncnn died of the int8 model.
    """
    stem = work_stem(project, table)
    files = replace(
        fp32,
        param=project.work_dir / f"{stem}-int8.param",
        bin=project.work_dir / f"{stem}-int8.bin",
    )
    return _write(network, table, files, project.input.shape, overwrite=True)


def _write(
    network: Network, table: Path, files: NcnnFiles, shape: Sequence[int], *, overwrite: bool
) -> WrittenInt8:
    require_quantizable(network)
    scales = fitting_table(table, network)
    int8 = quantize(network, scales)
    layers = quantized_layers(int8)
    if _is_there(int8, files):
        return WrittenInt8(files, layers)
    write_network(int8, files.param, files.bin, overwrite=overwrite)
    image = (shape[0], shape[1], shape[2]) if len(shape) == 3 else None
    return WrittenInt8(files, layers, loaded_layers(files, scales.layers, image))


def _is_there(network: Network, files: NcnnFiles) -> bool:
    try:
        return read_network(files).sha256 == network.sha256
    except InputError:
        return False
