"""Whether a table on disk is the one that the project's model, input and set lead to."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantkit.calibration.provenance import Provenance, package_versions, read_provenance
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.project.calibration_request import NAMES, CalibrationRequest
from quantkit.project.choosing import set_path
from quantkit.project.config import Project
from quantkit.selection.manifest import CalibrationSet, read_calibration_set
from quantkit.storage import json_value, sha256_file


def wanted_origin(
    project: Project, request: CalibrationRequest, chosen: CalibrationSet
) -> dict[str, Any]:
    """Say what a table that is asked for would be made from, as fields of its provenance."""
    return {
        **request.origin(),
        "preprocess": _preprocess(project),
        "calibration_set": chosen.name,
        "calibration_set_sha256": chosen.sha256,
    }


def is_unchanged(table: Path, network: Network, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a table is there already, made from just that by these versions.

    Args:
        table: The table.
        network: The fp32 network.
        wanted: From `wanted_origin`.
    """
    if not (table.is_file() and table.with_suffix(".json").is_file()):
        return False
    try:
        origin = read_provenance(table.with_suffix(".json"))
    except InputError:
        return False
    same = all(getattr(origin, name) == value for name, value in wanted.items())
    return (
        same
        and origin.model_sha256 == network.sha256
        and origin.versions == package_versions()
        and origin.table_sha256 == sha256_file(table)
    )


def _preprocess(project: Project) -> dict[str, Any]:
    return dict(json_value(asdict(project.input)))


def matching_origin(project: Project, table: Path, network: Network) -> Provenance:
    """Read the provenance of a table that is about to be used, whatever method made it.

    Args:
        project: The project.
        table: The table.
        network: The fp32 network.

    Raises:
        InputError: There is no such table, it was changed by hand, or it was made for another
            model, preprocess or calibration set.
    """
    if not table.is_file():
        names = ", ".join(NAMES)
        message = f"there is no such table; the ones that are made on demand are {names}"
        raise InputError(message, path=table)
    origin = read_provenance(table.with_suffix(".json"))
    if origin.table_sha256 != sha256_file(table):
        message = f"is not the table that {table.stem}.json describes; calibrate again, or use"
        raise InputError(f"{message} 'quantkit quantize' for a table of your own", path=table)
    changed = _changed(project, origin, network)
    if changed is not None:
        message = f"was made for {changed}; calibrate again with --overwrite or a new --name"
        raise InputError(message, path=table)
    return origin


def _changed(project: Project, origin: Provenance, network: Network) -> str | None:
    if origin.model_sha256 != network.sha256:
        return "another model"
    if origin.preprocess != _preprocess(project):
        return "another [input] of the project file"
    manifest = set_path(project, origin.calibration_set)
    if manifest.is_file():
        there = read_calibration_set(manifest).sha256
        if there != origin.calibration_set_sha256:
            return f"another calibration set '{origin.calibration_set}' than is there now"
    return None
