"""What a sensitivity run found, and its file."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from quantkit.errors import InputError
from quantkit.sensitivity.figures import Advice, Effect, Labels, Signal
from quantkit.storage import json_text, read_json

SCHEMA = 3


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer in int8 costs, in both directions, and what to do about it.

    Attributes:
        name: The layer.
        type: Its ncnn type.
        macs_share: Its share of the multiply-accumulates of the network.
        weights_share: Its share of the weights of the network.
        alone: With this layer in int8 and all others in fp32, against the network that the table
            belongs to in fp32.
        without: With this layer in fp32 and all others in int8, against the exported network.
        weights: With the weights of this layer alone rounded as int8 rounds them.
        activations: With the input of this layer alone rounded as int8 rounds it.
        own: Its output in int8, from the input that it has in fp32.
        inherited: Its output in fp32, from the input that it has in the int8 network.
        in_int8: Its output in the int8 network.
        ms_fp32: Milliseconds in fp32, where they were measured.
        ms_int8: Milliseconds in int8, where they were measured.
        recommended: The precision that the figures speak for.
        advice: Causes and remedies, those of the largest gain first; for the worst layers only.
    """

    name: str
    type: str
    macs_share: float
    weights_share: float
    alone: Effect
    without: Effect | None = None
    weights: Effect | None = None
    activations: Effect | None = None
    own: Signal | None = None
    inherited: Signal | None = None
    in_int8: Signal | None = None
    ms_fp32: float | None = None
    ms_int8: float | None = None
    recommended: Literal["int8", "fp32"] | None = None
    advice: tuple[Advice, ...] = ()

    @property
    def sqnr_db(self) -> float | None:
        """Output SQNR with this layer alone in int8; None without noise, or where it died."""
        return self.alone.sqnr_db

    @property
    def died(self) -> str | None:
        """How the runtime ended with this layer in int8."""
        return self.alone.died

    @property
    def rank_key(self) -> float:
        """The worse the layer, the smaller: a layer that kills the runtime comes first."""
        if self.died is not None:
            return -math.inf
        ratio = self.alone.peak_noise_db
        if ratio is None:
            ratio = self.sqnr_db
        return math.inf if ratio is None else ratio

    def gain_db(self, all_int8: Effect) -> float | None:
        """Output SQNR that the int8 network gains with this layer in fp32."""
        if self.without is None or self.without.sqnr_db is None or all_int8.sqnr_db is None:
            return None
        return self.without.sqnr_db - all_int8.sqnr_db


@dataclass(frozen=True)
class SensitivityReport:
    """The layers of a network, worst first.

    Attributes:
        model: Name of the model.
        model_sha256: Content hash of the fp32 network.
        table: Name of the calibration table whose scales were used, or of its file.
        table_sha256: Content hash of that table.
        calibration_set: Name of the set that the crops came from.
        crops: Number of crops behind SQNR, cosine and peak shift, and behind an OKS drop that has
            no AP drop beside it.
        ap_crops: Number of crops behind an AP drop and the OKS drop beside it; 0 without any.
        labels: What the AP is measured against.
        all_int8: With every layer of the table in int8 that does not kill the runtime, against the
            exported network.
        layers: One entry a layer, worst first.
        left_out: Layers that the table leaves in fp32.
        rank_agreement: Spearman's correlation of the ranking and the OKS drop, of the layers whose
            OKS drop was measured on `ap_crops`; None where there are fewer than three.
        search: What a search for a mixed table tried, as JSON.
        table_file: Where the table lies, from the project's folder; None for the project's own.
        table_note: What cannot be said of the table; None where its origin is known.
    """

    model: str
    model_sha256: str
    table: str
    table_sha256: str
    calibration_set: str
    crops: int
    ap_crops: int
    labels: Labels | None
    all_int8: Effect
    layers: tuple[LayerSensitivity, ...]
    left_out: tuple[str, ...]
    rank_agreement: float | None = None
    search: Mapping[str, Any] | None = None
    table_file: str | None = None
    table_note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit sensitivity --json`; figures not measured are null."""
        value = asdict(self)
        value["layers"] = [_layer_json(layer) for layer in self.layers]
        value["left_out"] = list(self.left_out)
        return {"schema": SCHEMA, **value, "all_int8_sqnr_db": self.all_int8.sqnr_db}

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
        fields = {key: one for key, one in value.items() if key in _FIELDS}
        return SensitivityReport(
            **{
                **fields,
                "all_int8": effect_of(value["all_int8"]),
                "layers": tuple(_layer_of(layer) for layer in value["layers"]),
                "left_out": tuple(value["left_out"]),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"is not a sensitivity report: {error!r}", path=path) from error


_FIELDS = frozenset(SensitivityReport.__dataclass_fields__)


def effect_of(value: Mapping[str, Any]) -> Effect:
    """Make an effect of its JSON."""
    interval = value.get("ap_drop_ci")
    return Effect(**{**value, "ap_drop_ci": None if interval is None else tuple(interval)})


def _layer_json(layer: LayerSensitivity) -> dict[str, Any]:
    """The effect of the layer alone lies flat, the others each under its name."""
    value = asdict(layer)
    alone = value.pop("alone")
    value["advice"] = [asdict(one) for one in layer.advice]
    head = {key: value.pop(key) for key in ("name", "type", "macs_share", "weights_share")}
    return {**head, **alone, **value}


def _layer_of(value: Mapping[str, Any]) -> LayerSensitivity:
    rest = dict(value)
    names = [key for key in Effect.__dataclass_fields__ if key in rest]
    alone = effect_of({key: rest.pop(key) for key in names})
    for key in ("without", "weights", "activations"):
        rest[key] = rest[key] and effect_of(rest[key])
    for key in ("own", "inherited", "in_int8"):
        rest[key] = rest[key] and Signal(**rest[key])
    rest["advice"] = tuple(Advice(**one) for one in rest["advice"])
    return LayerSensitivity(alone=alone, **rest)
