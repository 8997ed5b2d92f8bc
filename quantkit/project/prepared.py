"""The fp32 network that a table belongs to, beside the table, where it is not the exported one."""

from dataclasses import replace
from pathlib import Path

from quantkit.calibration.provenance import Provenance, read_provenance
from quantkit.errors import InputError
from quantkit.model.network import Network, read_network, write_network
from quantkit.model.source import NcnnFiles


def write_prepared(table: Path, exported: Network, network: Network, *, overwrite: bool) -> None:
    """Write the network of a table beside it, unless it is the exported one.

    Raises:
        InputError: Another network lies there and `overwrite` is false, or writing failed.
    """
    if network.sha256 != exported.sha256:
        param, weights = _paths(table)
        write_network(network, param, weights, overwrite=overwrite)


def prepared_files(table: Path, origin: Provenance, exported: NcnnFiles) -> NcnnFiles:
    """Find the network that a table belongs to.

    Args:
        table: The table.
        origin: Its provenance.
        exported: The exported network, which has been found to be the one of the provenance.

    Raises:
        InputError: The network is missing, or is another than the table was made for.
    """
    if origin.network_sha256 == origin.model_sha256:
        return exported
    param, weights = _paths(table)
    files = replace(exported, param=param, bin=weights)
    if not (param.is_file() and weights.is_file()):
        message = f"belongs to the network {param.name}, which is missing; calibrate again"
        raise InputError(f"{message} with --overwrite", path=table)
    if read_network(files).sha256 != origin.network_sha256:
        message = f"belongs to another network than {param.name}; calibrate again with --overwrite"
        raise InputError(message, path=table)
    return files


def own_network(table: Path, exported: NcnnFiles) -> NcnnFiles:
    """Find the network of any table: the one beside it, if one is, else the exported one.

    Raises:
        InputError: The `.json` beside the table says that it belongs to another.
    """
    origin = table.with_suffix(".json")
    if origin.is_file():
        return prepared_files(table, read_provenance(origin), exported)
    return network_beside(table, exported)


def network_beside(table: Path, exported: NcnnFiles) -> NcnnFiles:
    """Take the network that lies beside a table, if one does, else the exported one."""
    param, weights = _paths(table)
    there = param.is_file() and weights.is_file()
    return replace(exported, param=param, bin=weights) if there else exported


def _paths(table: Path) -> tuple[Path, Path]:
    return table.with_suffix(".param"), table.with_suffix(".bin")
