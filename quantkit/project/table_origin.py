"""What is known of a table on disk, and whether the project's model, input and set lead to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from quantkit.calibration.provenance import Provenance, package_versions, read_provenance
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.progress import Feedback
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.choosing import set_path
from quantkit.project.config import Project
from quantkit.project.table_location import table_label
from quantkit.selection.manifest import CalibrationSet, read_calibration_set
from quantkit.storage import json_value, sha256_file


def wanted_origin(
    project: Project, request: CalibrationRequest, chosen: CalibrationSet, network: Network
) -> dict[str, Any]:
    """Say what a table that is asked for would be made from, as fields of its provenance."""
    return {
        **request.origin(),
        "preprocess": _preprocess(project),
        "calibration_set": chosen.name,
        "calibration_set_sha256": chosen.sha256,
        "kept_fp32": request.kept_fp32(network),
    }


def is_unchanged(
    table: Path, network: Network, wanted: Mapping[str, Any], budget_s: float | None = None
) -> bool:
    """Tell whether a table is there already, made from just that by these versions.

    Args:
        table: The table.
        network: The fp32 network.
        wanted: From `wanted_origin`.
        budget_s: Seconds that it may take to make it; a table from which nothing was left out is
            that of any budget.
    """
    if not (table.is_file() and table.with_suffix(".json").is_file()):
        return False
    try:
        origin = read_provenance(table.with_suffix(".json"))
    except InputError:
        return False
    recipe = dict(origin.recipe or {})
    if recipe.pop("left_out", None) and recipe.pop("budget_s", None) != budget_s:
        return False
    origin = replace(origin, recipe=recipe or None)
    same = all(getattr(origin, name) == value for name, value in wanted.items())
    return (
        same
        and origin.model_sha256 == network.sha256
        and origin.versions == package_versions()
        and origin.table_sha256 == sha256_file(table)
        and origin.parent is None
    )


def _preprocess(project: Project) -> dict[str, Any]:
    return dict(json_value(asdict(project.input)))


@dataclass(frozen=True)
class TableOrigin:
    """What the `.json` beside a table says of it.

    Attributes:
        described: The `.json`; None where there is none. Of a table that was edited since, it is
            what the table was before.
        unknown: Why it is not known how the table was made; None where it is.
        intact: Whether the `.json` is of the table as it is.
    """

    described: Provenance | None
    unknown: str | None
    intact: bool

    @property
    def note(self) -> str | None:
        """What cannot be said of the table; None where its origin is known."""
        return None if self.unknown is None else f"origin unknown ({self.unknown}): {_UNSAID}"


_UNSAID: Final = (
    "it cannot be said which crops it was calibrated on, whether evaluation data were among them,"
    " and for which network and input it was made"
)


def table_origin(table: Path) -> TableOrigin:
    """Read what is known of a table.

    Raises:
        InputError: The table cannot be read.
    """
    beside = table.with_suffix(".json")
    if not beside.is_file():
        return TableOrigin(None, f"there is no {beside.name} beside it", intact=False)
    try:
        described = read_provenance(beside)
    except InputError:
        return TableOrigin(None, f"{beside.name} does not describe a table", intact=False)
    if described.table_sha256 != sha256_file(table):
        why = f"it was edited after {beside.name} was written"
        return TableOrigin(described, why, intact=False)
    return TableOrigin(described, described.unknown, intact=True)


def note_origin(project: Project, table: Path, feedback: Feedback) -> None:
    """Tell what cannot be said of a table whose origin is not known.

    Raises:
        InputError: The table cannot be read.
    """
    if (note := table_origin(table).note) is not None:
        feedback.note(f"table {table_label(project, table)}: {note}")


def refuse_another(project: Project, table: Path, origin: Provenance, network: Network) -> None:
    """Refuse a table that was made for something else than the project is now.

    Args:
        project: The project.
        table: The table.
        origin: Its `.json`, which describes it as it is.
        network: The fp32 network.

    Raises:
        InputError: It was made for another model, preprocess or calibration set.
    """
    changed = _changed(project, origin, network)
    if changed is not None:
        message = f"was made for {changed}; calibrate again with --overwrite or a new --name"
        raise InputError(message, path=table)


def known_provenance(
    project: Project, origin: TableOrigin, exported: Network, prepared: Network
) -> Provenance:
    """Describe a table that is about to be used, as far as it is known.

    Args:
        project: The project.
        origin: What the `.json` of the table says.
        exported: The fp32 network as it was exported.
        prepared: The fp32 network that the table belongs to.
    """
    if origin.described is None:
        described = _undescribed(exported, prepared)
    elif origin.intact or not _other_set(project, origin.described):
        described = origin.described
    else:
        described = replace(origin.described, calibration_set=None, calibration_set_sha256=None)
    return replace(described, unknown=origin.unknown)


def _undescribed(exported: Network, prepared: Network) -> Provenance:
    return Provenance(
        table_sha256="",
        model_sha256=exported.sha256,
        network_sha256=prepared.sha256,
        calibration_set=None,
        calibration_set_sha256=None,
        method="unknown",
        compat=False,
        recipe=None,
        steps=(),
        keep_hazards=True,
        preprocess={},
        versions=package_versions(),
        layers={},
        left_out={},
        notes={},
    )


def _changed(project: Project, origin: Provenance, network: Network) -> str | None:
    if origin.model_sha256 != network.sha256:
        return "another model"
    # What goes back to a table of unknown origin says nothing of it.
    if origin.preprocess and origin.preprocess != _preprocess(project):
        return "another [input] of the project file"
    if _other_set(project, origin):
        return f"another calibration set '{origin.calibration_set}' than is there now"
    return None


def _other_set(project: Project, origin: Provenance) -> bool:
    if origin.calibration_set is None:
        return False
    manifest = set_path(project, origin.calibration_set)
    there = manifest.is_file()
    return there and read_calibration_set(manifest).sha256 != origin.calibration_set_sha256
