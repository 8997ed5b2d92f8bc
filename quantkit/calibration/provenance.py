"""The `.json` beside a table: what it was made from, with what, and what was left out."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import cv2

from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.storage import json_text, must_write, read_json, sha256_bytes, write_atomically

SCHEMA: Final = 2
_PACKAGES: Final = ("quantkit", "ncnn", "numpy")


@dataclass(frozen=True)
class LayerRange:
    """Range statistics of one layer's input blob over the calibration crops.

    Attributes:
        blob: Name of the blob in the .param.
        absmax: Largest absolute value.
        minimum: Smallest value.
        maximum: Largest value.
        threshold: The absolute value that becomes 127; None where the layer stays in fp32.
        scale: 127 / threshold as the table has it; None likewise.
        count: Number of values.
        zero_fraction: Share of the values that are exactly zero.
    """

    blob: str
    absmax: float
    minimum: float
    maximum: float
    threshold: float | None
    scale: float | None
    count: int
    zero_fraction: float


@dataclass(frozen=True)
class Provenance:
    """Everything that decides a table's bytes.

    Attributes:
        table_sha256: Hash of the table's text: says which table this belongs to.
        model_sha256: Hash of the .param and .bin of the fp32 network as it was exported.
        network_sha256: Hash of those of the network that the table belongs to.
        calibration_set: Name of the set; None where it is not known, as for its hash.
        calibration_set_sha256: Hash of its manifest.
        method: Method that chose the thresholds.
        compat: Whether all was done as ncnn2table does it.
        recipe: Which steps were allowed; None where the method has none.
        steps: What each did to the SQNR of the outputs on training crops that were held out.
        keep_hazards: Whether layers that the runtime gets wrong were kept.
        preprocess: How persons became crops.
        versions: Version by package.
        layers: Range statistics by layer.
        left_out: Reason by layer that stays in fp32.
        notes: Remark by layer.
        kept_fp32: Layers that were asked to stay in fp32, in the order of the .param.
        unknown: Why it is not known how the table was made, where it goes back to one that
            quantkit did not write as it is.
        parent: Label and `sha256` of the table that this one was edited from.
        edits: What was changed in it, and why, with what had been changed in it before.
    """

    table_sha256: str
    model_sha256: str
    network_sha256: str
    calibration_set: str | None
    calibration_set_sha256: str | None
    method: str
    compat: bool
    recipe: Mapping[str, Any] | None
    steps: tuple[Mapping[str, Any], ...]
    keep_hazards: bool
    preprocess: Mapping[str, Any]
    versions: Mapping[str, str]
    layers: Mapping[str, LayerRange]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    kept_fp32: tuple[str, ...] = ()
    unknown: str | None = None
    parent: Mapping[str, str] | None = None
    edits: tuple[Mapping[str, Any], ...] = ()

    def of_table(self, table: CalibrationTable, sha256: str, left_out: Mapping[str, str]) -> Self:
        """Describe a table that was made from the one that is described here.

        Args:
            table: What it holds.
            sha256: Hash of its file.
            left_out: Reason by layer that stays in fp32.
        """
        scales = table.activation_scales
        layers = {
            name: replace(
                one,
                threshold=127 / scales[name] if name in scales else None,
                scale=scales.get(name),
            )
            for name, one in self.layers.items()
        }
        notes = {name: note for name, note in self.notes.items() if name in scales}
        return replace(
            self, table_sha256=sha256, layers=layers, left_out=dict(left_out), notes=notes
        )

    def text(self) -> str:
        """Write the JSON; it holds no dates or paths, so equal inputs give equal bytes."""
        return json_text({"schema": SCHEMA, **asdict(self)})


def provenance(
    calibration: Calibration,
    network: Network,
    statistics: ActivationStatistics,
    *,
    method: str,
    calibration_set: str | None,
    calibration_set_sha256: str | None,
    compat: bool = False,
    recipe: Mapping[str, Any] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    prepared: Network | None = None,
    keep_hazards: bool = False,
    preprocess: Mapping[str, Any] | None = None,
    kept_fp32: Sequence[str] = (),
) -> Provenance:
    """Describe how a table was made.

    Args:
        calibration: The table.
        network: The fp32 network as it was exported.
        statistics: What the table was chosen from.
        method: Name of the method.
        compat: Whether all was done as ncnn2table does it.
        recipe: Which steps were allowed, where the method has any.
        steps: What each of them did.
        prepared: The fp32 network that the table belongs to, where it is another.
        calibration_set: Name of the set.
        calibration_set_sha256: Hash of its manifest.
        keep_hazards: Whether layers that the runtime gets wrong were kept.
        preprocess: How persons became crops, as JSON values.
        kept_fp32: Layers that were asked to stay in fp32.
    """
    return Provenance(
        table_sha256=sha256_bytes(calibration.table.text().encode()),
        model_sha256=network.sha256,
        network_sha256=(prepared or network).sha256,
        calibration_set=calibration_set,
        calibration_set_sha256=calibration_set_sha256,
        method=method,
        compat=compat,
        recipe=recipe,
        steps=tuple(steps),
        keep_hazards=keep_hazards,
        preprocess=dict(preprocess or {}),
        versions=package_versions(),
        layers={name: _layer_range(name, calibration, network, statistics) for name in statistics},
        left_out=dict(calibration.left_out),
        notes=dict(calibration.notes),
        kept_fp32=tuple(kept_fp32),
    )


def package_versions() -> dict[str, str]:
    """Name the versions of the packages that decide a table's bytes."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    # It decodes the images; its package has several names.
    return versions | {"opencv": cv2.__version__}


def write_table(
    table: Path, calibration: Calibration, origin: Provenance, *, overwrite: bool = False
) -> None:
    """Write a table, and its provenance beside it as `.json`.

    Raises:
        InputError: One of them is there with other content and `overwrite` is false, in which
            case neither is written, or writing failed.
    """
    outputs = {table.with_suffix(".json"): origin.text(), table: calibration.table.text()}
    due = [
        path
        for path, text in outputs.items()
        if must_write(path, sha256_bytes(text.encode()), overwrite=overwrite)
    ]
    for path in due:
        write_atomically(path, outputs[path])


def read_provenance(path: Path) -> Provenance:
    """Read the `.json` beside a table.

    Raises:
        InputError: It is missing, or not such a file of this version.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        message = f"is no table provenance of schema {SCHEMA}; calibrate again"
        raise InputError(message, path=path)
    try:
        return _parse({key: value for key, value in document.items() if key != "schema"})
    except (KeyError, TypeError, AttributeError) as error:
        message = f"is damaged ({error}); calibrate again"
        raise InputError(message, path=path) from error


def _parse(fields: dict[str, Any]) -> Provenance:
    layers = {name: LayerRange(**one) for name, one in fields["layers"].items()}
    lists = {key: tuple(fields.get(key, ())) for key in ("steps", "kept_fp32", "edits")}
    return Provenance(**{**fields, "layers": layers, **lists})


def _layer_range(
    name: str, calibration: Calibration, network: Network, statistics: ActivationStatistics
) -> LayerRange:
    one = statistics[name]
    return LayerRange(
        blob=network.param.layer(name).bottoms[0],
        absmax=one.absmax,
        minimum=one.minimum,
        maximum=one.maximum,
        threshold=calibration.thresholds.get(name),
        scale=calibration.table.activation_scales.get(name),
        count=one.count,
        zero_fraction=one.zero_fraction,
    )
