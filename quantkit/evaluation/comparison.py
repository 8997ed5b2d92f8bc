"""The rows of all backends, each with what it loses against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from quantkit.errors import InputError
from quantkit.evaluation.coco_ap import DEFAULT_SCORE_SPEC, CocoFigures
from quantkit.evaluation.nms import Nms
from quantkit.evaluation.scoring import ScoreMode
from quantkit.storage import json_text, read_json
from quantkit.tuning.sqnr import decibels_from_json, decibels_json

SCHEMA = 1

Status = Literal["ok", "unavailable", "crashed", "skipped"]


@dataclass(frozen=True)
class Row:
    """What one backend makes of a data set. Figures are None unless the status is `ok`.

    Attributes:
        backend: Name of the backend.
        precision: Arithmetic of the network: fp32, fp16 or int8.
        status: Whether it ran.
        reason: Why it did not.
        ap: Average precision; with the nine figures after it, COCO's ten.
        ap_drop: AP of the baseline less this AP.
        ap_drop_ci: 95 % interval of the drop, from the same images for both.
        oks: Mean similarity of a person's keypoints to the labels.
        oks_drop: Mean similarity of the baseline less this one.
        oks_vs_baseline: Mean similarity of the keypoints to the baseline's.
        keypoint_oks: Similarity to the labels of each of COCO's keypoints, by name; None for one
            that is never labelled.
        keypoint_oks_vs_baseline: Similarity to the baseline's of each keypoint, by name; None, as
            the OKS is, for any number of keypoints but COCO's 17.
        sqnr_db: SQNR of each output against the baseline's in dB, on a sample of up to 32 persons;
            infinity where nothing differs.
        keypoint_distance_mean: Mean distance of the keypoints to the baseline's, in pixels of the
            network's input.
        keypoint_distance_p95: 95th percentile of these distances.
        keypoint_distance: Their mean of each keypoint, by COCO's name or, of any other number than
            17, by its place from 0.
        within: Whether the drop is within the bound of `--until`; None where it is not known.
        ms_per_instance: Median time of a single run.
        size_mb: Size of the model's files in MB (10^6 bytes).
        description: Package, version and the options that change the figures.
    """

    backend: str
    precision: str
    status: Status = "ok"
    reason: str | None = None
    ap: float | None = None
    ap_drop: float | None = None
    ap_drop_ci: tuple[float, float] | None = None
    ap50: float | None = None
    ap75: float | None = None
    ap_m: float | None = None
    ap_l: float | None = None
    ar: float | None = None
    ar50: float | None = None
    ar75: float | None = None
    ar_m: float | None = None
    ar_l: float | None = None
    oks: float | None = None
    oks_drop: float | None = None
    oks_vs_baseline: float | None = None
    keypoint_oks: Mapping[str, float | None] | None = None
    keypoint_oks_vs_baseline: Mapping[str, float | None] | None = None
    sqnr_db: tuple[float, ...] | None = None
    keypoint_distance_mean: float | None = None
    keypoint_distance_p95: float | None = None
    keypoint_distance: Mapping[str, float | None] | None = None
    within: bool | None = None
    ms_per_instance: float | None = None
    size_mb: float | None = None
    description: str | None = None

    @property
    def is_of_a_file(self) -> bool:
        """Whether its network is a file that was named for this evaluation, not the project's."""
        return ":" in self.backend

    def with_figures(self, figures: CocoFigures) -> Self:
        """Fill in COCO's ten figures."""
        return replace(self, **asdict(figures))


@dataclass(frozen=True)
class Until:
    """How many images it took to tell whether the drops are within a bound.

    Attributes:
        bound: The largest drop that is accepted.
        images: Images that were evaluated.
        of: Images that there are.
    """

    bound: float
    images: int
    of: int


@dataclass(frozen=True)
class Comparison:
    """An evaluation of several backends.

    Attributes:
        model: Name of the model.
        input_size: Width and height of the network's input in pixels.
        dataset: Name of the annotation file.
        instances: Number of persons.
        boxes: Name of the detections file that their boxes are from; "gt" for the annotations'.
        nms: Whether near-duplicates of a person were removed before scoring.
        baseline: The backend that drops are measured against; None where none ran.
        table: Name of the calibration table of the int8 rows, or of its file; None where there are
            none.
        versions: Package to version.
        rows: One entry a backend.
        until: The bound that ended the evaluation; None where all images were asked for.
        flip_test: Whether the networks were shown every person mirrored, too.
        score_mode: What a person's score was made of.
        keypoint_threshold: Confidences up to it did not enter that score.
        table_sha256: Hash of the table's file.
        table_note: What cannot be said of the table; None where its origin is known.
    """

    model: str
    input_size: tuple[int, int]
    dataset: str
    instances: int
    boxes: str
    nms: Nms
    baseline: str | None
    table: str | None
    versions: Mapping[str, str]
    rows: tuple[Row, ...]
    until: Until | None = None
    flip_test: bool = False
    score_mode: ScoreMode = DEFAULT_SCORE_SPEC.score_mode
    keypoint_threshold: float = DEFAULT_SCORE_SPEC.keypoint_threshold
    table_sha256: str | None = None
    table_note: str | None = None

    @property
    def has_labels(self) -> bool:
        """Whether there are figures against labels, not against the baseline alone."""
        return any(row.ap is not None for row in self.rows)

    def row(self, backend: str) -> Row:
        """Find the row of a backend."""
        return next(row for row in self.rows if row.backend == backend)

    def failed(self) -> tuple[Row, ...]:
        """List the rows without figures."""
        return tuple(row for row in self.rows if row.status != "ok")

    def over(self, bound: float) -> tuple[Row, ...]:
        """List the rows that lose more AP than a bound."""
        return tuple(row for row in self.rows if row.ap_drop is not None and row.ap_drop > bound)

    def unmeasured(self, names: Sequence[str] | None) -> str | None:
        """Say why the drops of these rows answer no question about int8.

        Args:
            names: The rows that were asked for; None for all of them, of which one in int8 has to
                be measured. Those of files are always asked for.

        Returns:
            The reason; None where there is an answer.
        """
        rows = [row for row in self.rows if row.backend != self.baseline]
        int8 = [row for row in rows if row.precision == "int8"]
        if names is None and all(row.ap_drop is None for row in int8):
            return f"no int8 row was measured ({_reasons(int8) or 'but the baseline'})"
        named = [row for row in rows if row.is_of_a_file or row.backend in (names or ())]
        if missing := [row for row in named if row.ap_drop is None]:
            return f"not every row was measured ({_reasons(missing)})"
        measured = any(row.ap_drop is not None for row in rows)
        return None if measured else "nothing was measured but the baseline"

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit eval --json`."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            row["ap_drop_ci"] = row["ap_drop_ci"] and list(row["ap_drop_ci"])
            row["sqnr_db"] = row["sqnr_db"] and [decibels_json(one) for one in row["sqnr_db"]]
        value = {**asdict(self), "input_size": list(self.input_size), "rows": rows}
        return {"schema": SCHEMA, **value}

    def text(self) -> str:
        """Write the file's content."""
        return json_text(self.to_json())


def _reasons(rows: Sequence[Row]) -> str:
    why: dict[str, list[str]] = {}
    for row in rows:
        why.setdefault(row.reason or "no labels", []).append(row.backend)
    return "; ".join(f"{', '.join(named)}: {reason}" for reason, named in why.items())


def read_comparison(path: Path) -> Comparison:
    """Read an evaluation back.

    Raises:
        InputError: The file is missing or is not such an evaluation.
    """
    value = read_json(path)
    try:
        if value.pop("schema") != SCHEMA:
            message = f"has another schema than {SCHEMA}: run the evaluation again"
            raise InputError(message, path=path)
        rows = tuple(_row(row) for row in value.pop("rows"))
        width, height = value.pop("input_size")
        until = value.pop("until")
        return Comparison(
            **value,
            input_size=(width, height),
            rows=rows,
            until=None if until is None else Until(**until),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is not an evaluation: {error!r}", path=path) from error


def _row(value: dict[str, Any]) -> Row:
    interval = value.pop("ap_drop_ci")
    decibels = value.pop("sqnr_db", None)
    return Row(
        **value,
        ap_drop_ci=None if interval is None else (interval[0], interval[1]),
        sqnr_db=decibels and tuple(map(decibels_from_json, decibels)),
    )
