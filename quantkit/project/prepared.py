"""The fp32 network that a table belongs to, beside the table, where it is not the exported one."""

from dataclasses import replace
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.network import Network, read_network, write_network
from quantkit.model.source import NcnnFiles
from quantkit.project.table_origin import TableOrigin


def write_prepared(table: Path, exported: Network, network: Network, *, overwrite: bool) -> None:
    """Write the network of a table beside it, unless it is the exported one.

    Raises:
        InputError: Another network lies there and `overwrite` is false, or writing failed.
    """
    if network.sha256 != exported.sha256:
        param, weights = _paths(table)
        write_network(network, param, weights, overwrite=overwrite)


def own_network(table: Path, origin: TableOrigin, exported: NcnnFiles) -> NcnnFiles:
    """Find the network of a table: the one that its `.json` names, else the one beside it.

    Args:
        table: The table.
        origin: What its `.json` says.
        exported: The exported network, which is taken where no other lies beside the table.

    Raises:
        InputError: The network that the `.json` names is missing, or another than those that are
            there.
    """
    beside = network_beside(table, exported)
    if origin.described is None:
        return beside
    wanted = origin.described.network_sha256
    for files in dict.fromkeys((exported, beside)):
        if read_network(files).sha256 == wanted:
            return files
    param = _paths(table)[0]
    if wanted == origin.described.model_sha256:
        message = f"was made for another network than {beside.param.name}"
    elif beside == exported:
        message = f"belongs to the network {param.name}, which is missing"
    else:
        message = f"belongs to another network than {param.name}"
    hint = "calibrate again with --overwrite"
    if not origin.intact:
        hint += f", or remove {table.with_suffix('.json').name} if it is not this table's"
    raise InputError(f"{message}; {hint}", path=table)


def network_beside(table: Path, exported: NcnnFiles) -> NcnnFiles:
    """Take the network that lies beside a table, if one does, else the exported one."""
    param, weights = _paths(table)
    there = param.is_file() and weights.is_file()
    return replace(exported, param=param, bin=weights) if there else exported


def _paths(table: Path) -> tuple[Path, Path]:
    return table.with_suffix(".param"), table.with_suffix(".bin")
