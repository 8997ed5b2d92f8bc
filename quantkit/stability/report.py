"""What the curve of a network found, and its file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from quantkit.errors import InputError
from quantkit.stability.disjoint import DisjointSets
from quantkit.stability.fields import read_as
from quantkit.stability.points import Point
from quantkit.stability.recommendation import Recommendation
from quantkit.stability.summary import SizeSummary, summarised
from quantkit.storage import json_text, json_value, read_json

SCHEMA: Final = 1

Labels = Literal["labels", "fp32 keypoints"]


@dataclass(frozen=True)
class CurveReport:
    """How the tables of a network settle with the size of their calibration set.

    Attributes:
        model: Name of the model.
        model_sha256: Content hash of the fp32 network.
        method: Calibration method.
        pool: How many persons the sets were drawn from.
        held_out: How many other persons judged.
        labels: What the AP was measured against.
        fp32_ap: AP of the fp32 network on them; None, as all OKS and AP drops are, for any number
            of keypoints but COCO's 17.
        sizes: Sizes of the sets, ascending.
        seeds: Seeds of the draws; of one seed, smaller sets lie within larger ones.
        points: One a size and seed, ordered by seed and size.
        recommended: The smallest size that has settled.
        tolerance: Share by which scales of disjoint sets may differ before a layer is named.
        disjoint: Pairs of sets without a common crop.
        outliers: Crops that alone set the largest value of layers, each with `annotation_id`,
            `file_name`, `layers` and `factor`.
    """

    model: str
    model_sha256: str
    method: str
    pool: int
    held_out: int
    labels: Labels
    fp32_ap: float | None
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    recommended: Recommendation
    tolerance: float
    disjoint: tuple[DisjointSets, ...]
    outliers: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def summaries(self) -> tuple[SizeSummary, ...]:
        """Means and spreads over the seeds, one a size."""
        return summarised(self.points, self.pool)

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit select --curve --json`."""
        value = {"schema": SCHEMA, **asdict(self), "summaries": [*map(_summary, self.summaries)]}
        return dict(json_value(value))

    def text(self) -> str:
        """Write the file's content."""
        return json_text(self.to_json())


def read_curve(path: Path) -> CurveReport:
    """Read `curve.json`.

    Raises:
        InputError: The file is missing or is not such a report; what is wrong is named.
    """
    return parse_curve(read_json(path), path)


def parse_curve(document: object, path: Path | None = None) -> CurveReport:
    """Check and take the JSON of a curve.

    Args:
        document: The JSON value.
        path: The file's path, for error messages.

    Raises:
        InputError: A field is missing or wrong, or a size and seed has no point.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        message = f"is no curve of schema {SCHEMA}; measure it again with 'select --curve'"
        raise InputError(message, path=path)
    try:
        report: CurveReport = read_as(CurveReport, document, "curve")
        _check(report)
    except ValueError as error:
        raise InputError(str(error), path=path) from error
    return report


@dataclass(frozen=True)
class _Outlier:
    """What each of `CurveReport.outliers` holds at least."""

    annotation_id: int
    file_name: str
    layers: tuple[str, ...]
    factor: float


def _check(report: CurveReport) -> None:
    wanted = [(size, seed) for seed in report.seeds for size in report.sizes]
    if [(one.size, one.seed) for one in report.points] != wanted:
        raise ValueError("curve.points must be one for each of curve.seeds and curve.sizes")
    if not report.seeds:
        raise ValueError("curve.seeds must hold at least one seed")
    if not report.sizes or any(
        a >= b for a, b in zip((0, *report.sizes), report.sizes, strict=False)
    ):
        raise ValueError("curve.sizes must ascend from at least 1")
    if report.pool < report.sizes[-1]:
        raise ValueError(f"curve.pool must be at least the largest size, got {report.pool}")
    if any(scale <= 0 for point in report.points for scale in point.scales.values()):
        raise ValueError("curve.points: scales must be above 0")
    ratios = [layer.ratio for pair in report.disjoint for layer in pair.disagreements]
    if any(ratio is not None and ratio <= 0 for ratio in ratios):
        raise ValueError("curve.disjoint: ratios must be above 0")
    for number, one in enumerate(report.outliers):
        read_as(_Outlier, one, f"curve.outliers[{number}]")


def _summary(one: SizeSummary) -> dict[str, Any]:
    return {
        **{field.name: getattr(one, field.name) for field in fields(one)},
        **{name: value and asdict(value) for name, value in _spreads(one).items()},
        "median_scale_spread": one.median_scale_spread,
        "worst_layer": one.worst_layer,
    }


def _spreads(one: SizeSummary) -> dict[str, Any]:
    return {"sqnr_db": one.sqnr_db, "ap_drop": one.ap_drop, "oks": one.oks}
