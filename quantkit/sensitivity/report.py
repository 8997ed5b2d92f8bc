"""What a sensitivity run found, and its file."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.storage import json_text, read_json

SCHEMA = 1


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer alone in int8 does to the outputs of the network.

    Attributes:
        name: The layer.
        type: Its ncnn type.
        macs_share: Its share of the multiply-accumulates of the network.
        sqnr_db: Output SQNR; None where the layer adds no noise at all, or where it `died`.
        died: How the runtime ended on this layer: the signal's name.
    """

    name: str
    type: str
    macs_share: float
    sqnr_db: float | None
    died: str | None = None

    @property
    def rank_key(self) -> float:
        """The worse the layer, the smaller: a layer that kills the runtime comes first."""
        if self.died is not None:
            return -math.inf
        return math.inf if self.sqnr_db is None else self.sqnr_db


@dataclass(frozen=True)
class SensitivityReport:
    """The layers of a network, worst first.

    Attributes:
        model: Name of the model.
        model_sha256: Content hash of the fp32 network.
        table: Name of the calibration table whose scales were used.
        table_sha256: Content hash of that table.
        calibration_set: Name of the set that the crops came from.
        crops: Number of crops.
        all_int8_sqnr_db: Output SQNR with every layer of the table in int8.
        layers: One entry a layer, worst first.
        left_out: Layers that the table leaves in fp32.
    """

    model: str
    model_sha256: str
    table: str
    table_sha256: str
    calibration_set: str
    crops: int
    all_int8_sqnr_db: float | None
    layers: tuple[LayerSensitivity, ...]
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit sensitivity --json`; figures not measured are null."""
        unmeasured = dict.fromkeys(
            ("oks_drop", "ap_drop", "ap_drop_ci", "ms_fp32", "ms_int8", "recommended")
        )
        value = asdict(self)
        value["layers"] = [{**asdict(layer), **unmeasured} for layer in self.layers]
        value["left_out"] = list(self.left_out)
        return {"schema": SCHEMA, **value, "search": None}

    def text(self) -> str:
        """Write the file's content."""
        return json_text(self.to_json())


def read_report(path: Path) -> SensitivityReport:
    """Read `sensitivity.json`.

    Raises:
        InputError: The file is missing or is not such a report.
    """
    value = read_json(path)
    try:
        if value["schema"] != SCHEMA:
            message = f"has schema {value['schema']}, expected {SCHEMA}: run it again"
            raise InputError(message, path=path)
        layers = tuple(
            LayerSensitivity(
                layer["name"], layer["type"], layer["macs_share"], layer["sqnr_db"], layer["died"]
            )
            for layer in value["layers"]
        )
        return SensitivityReport(
            model=value["model"],
            model_sha256=value["model_sha256"],
            table=value["table"],
            table_sha256=value["table_sha256"],
            calibration_set=value["calibration_set"],
            crops=value["crops"],
            all_int8_sqnr_db=value["all_int8_sqnr_db"],
            layers=layers,
            left_out=tuple(value["left_out"]),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"is not a sensitivity report: {error!r}", path=path) from error
