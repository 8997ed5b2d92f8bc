"""What a search tried, what it chose and why, as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.sensitivity.figures import Effect
from quantkit.storage import json_text, json_value, read_json, sha256_file

SCHEMA = 1


@dataclass(frozen=True)
class Bounds:
    """What a mixed table has to hold.

    Attributes:
        max_drop: The largest AP drop; None for no such bound. One whose 95 % interval holds the
            bound cannot be told from it, and is let pass.
        min_sqnr: The least SQNR of the outputs in dB; None for no such bound.
    """

    max_drop: float | None = 0.002
    min_sqnr: float | None = 25.0

    def broken_by(self, effect: Effect) -> str | None:
        """Say which bound does not hold, if one does not.

        Example:
            >>> Bounds(0.002, 25.0).broken_by(Effect(sqnr_db=24.0, ap_drop=0.001))
            '24.0 dB are less than 25'
        """
        if effect.died is not None:
            return effect.died
        drop, sqnr = effect.ap_drop, effect.sqnr_db
        low = drop if effect.ap_drop_ci is None else effect.ap_drop_ci[0]
        if self.max_drop is not None and low is not None and low > self.max_drop:
            return f"a drop of at least {low:.4f} is more than {self.max_drop:g}"
        if self.min_sqnr is not None and sqnr is not None and sqnr < self.min_sqnr:
            return f"{sqnr:.1f} dB are less than {self.min_sqnr:g}"
        return None


@dataclass(frozen=True)
class Tried:
    """One mix that was tried.

    Attributes:
        name: What it is.
        int8_layers: How many layers are int8.
        fp32_macs: Share of the multiply-accumulates in fp32.
        predicted_ms: Time of the layers of which there are times.
        masks: For how many layers Winograd is switched off.
        effect: On train crops; None where its outputs were not looked at.
        broken: Which bound it does not hold; None where it holds them.
        median_ms: Of the whole network on this machine; None where it was not measured, as for
            all below.
        p10_ms: Tenth percentile.
        ratio: Its time against that of fp32: medians on this machine, or as predicted from the
            times of layers on another one.
        p10_ratio: Its tenth percentile against that of fp32 on this machine.
        pareto: Whether no other mix is both faster and closer to fp32.
    """

    name: str
    int8_layers: int
    fp32_macs: float
    predicted_ms: float
    masks: int = 0
    effect: Effect | None = None
    broken: str | None = None
    median_ms: float | None = None
    p10_ms: float | None = None
    ratio: float | None = None
    p10_ratio: float | None = None
    pareto: bool = False

    @property
    def exact(self) -> bool:
        """Whether it is fp32, in a form whose outputs were not looked at as they are the same."""
        return not self.int8_layers and self.effect is None


@dataclass(frozen=True)
class Confirmation:
    """The chosen mix on validation data, looked at once.

    Attributes:
        dataset: Name of the annotation file.
        instances: Number of persons.
        ap: Of the fp32 network.
        ap_drop: What the mix loses.
        ap_drop_ci: 95 % interval of it.
        oks_vs_fp32: Mean similarity of its keypoints to those of fp32; None for any number of
            them but COCO's 17.
        keypoint_distance_mean: Mean distance of its keypoints to those of fp32, in pixels of the
            network's input.
        keypoint_distance_p95: 95th percentile of these distances.
    """

    dataset: str
    instances: int
    ap: float | None
    ap_drop: float | None
    ap_drop_ci: tuple[float, float] | None
    oks_vs_fp32: float | None
    keypoint_distance_mean: float | None = None
    keypoint_distance_p95: float | None = None


@dataclass(frozen=True)
class SearchReport:
    """A finished search.

    Attributes:
        model: Name of the project's model.
        base: Name of the table that it began with.
        bounds: What was to be held.
        machine: What is known of the machine that the layers were timed on.
        layer_noise: How much a layer, measured twice, differed.
        network_noise: How much the fp32 network, measured twice, differed.
        claim: Differences of times below this share are not claimed.
        persons: How many train persons judged.
        labels: What the AP was measured against.
        layers: Predicted times by layer.
        tried: The mixes, in order.
        chosen: Name of the one that was chosen.
        why: The reason.
        table: Name of the table that was written.
        table_sha256: Hash of that table.
        key: Hash of what the search was asked for.
        masks: Layers for which Winograd is switched off.
        joined_shuffles: How many channel shuffles are one layer instead of three.
        confirmed: On validation data.
        table_note: What cannot be said of the table that it began with; None where its origin is
            known.
    """

    model: str
    base: str
    bounds: Bounds
    machine: Mapping[str, Any]
    layer_noise: float
    network_noise: float
    claim: float
    persons: int
    labels: str
    layers: tuple[Mapping[str, Any], ...]
    tried: tuple[Tried, ...]
    chosen: str
    why: str
    table: str
    table_sha256: str
    key: str
    masks: tuple[str, ...] = ()
    joined_shuffles: int = 0
    confirmed: Confirmation | None = None
    table_note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object that stands under `search`."""
        return {"schema": SCHEMA, **asdict(self)}

    def text(self) -> str:
        """Write the file's content."""
        return json_text(json_value(self.to_json()))


def matching_report(path: Path, key: str, table: Path) -> SearchReport | None:
    """Read a finished search back, if it is the one that is asked for and its table is unchanged.

    Args:
        path: The file of the last search.
        key: What the search is asked for.
        table: The table that it wrote.
    """
    try:
        value = read_json(path)
        if value.pop("schema") != SCHEMA or value["key"] != key:
            return None
        if sha256_file(table) != value["table_sha256"]:
            return None
        return SearchReport(
            **{
                **value,
                "bounds": Bounds(**value["bounds"]),
                "layers": tuple(value["layers"]),
                "tried": tuple(_tried(one) for one in value["tried"]),
                "masks": tuple(value["masks"]),
                "confirmed": value["confirmed"] and Confirmation(**_paired(value["confirmed"])),
            }
        )
    except (InputError, KeyError, TypeError, AttributeError):
        return None


def _tried(value: dict[str, Any]) -> Tried:
    effect = value["effect"] and Effect(**_paired(value["effect"]))
    return Tried(**{**value, "effect": effect})


def _paired(value: dict[str, Any]) -> dict[str, Any]:
    interval = value["ap_drop_ci"]
    return {**value, "ap_drop_ci": interval and (interval[0], interval[1])}
