"""The quantization step: the int8 model of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.model.eligibility import quantized_layers, require_quantizable
from quantkit.model.network import Network, read_network, write_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.exporting import export_model
from quantkit.project.prepared import own_network
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
    fp32 = own_network(path, origin, export_model(project, feedback).ncnn)
    network = read_network(fp32)
    require_quantizable(network)
    note_origin(project, path, feedback)
    written = write_int8(project, network, fp32, path)
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
    scales, stem = fitting_table(table, network), work_stem(project, table)
    int8 = quantize(network, scales)
    files = NcnnFiles(
        param=project.work_dir / f"{stem}-int8.param",
        bin=project.work_dir / f"{stem}-int8.bin",
        input=fp32.input,
        outputs=fp32.outputs,
    )
    layers = quantized_layers(int8)
    if _is_there(int8, files):
        return WrittenInt8(files, layers)
    write_network(int8, files.param, files.bin, overwrite=True)
    return WrittenInt8(files, layers, loaded_layers(files, scales.layers, project.input.shape))


def _is_there(network: Network, files: NcnnFiles) -> bool:
    try:
        return read_network(files).sha256 == network.sha256
    except InputError:
        return False
