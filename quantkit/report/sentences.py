"""What every format says in words."""

from collections.abc import Sequence

from quantkit.evaluation.coco_ap import DEFAULT_SCORE_SPEC
from quantkit.evaluation.comparison import Comparison, Row
from quantkit.tuning.sqnr import decibels_text


def data_sentence(comparison: Comparison) -> str:
    """Say whom the networks were shown, and how they were scored where it is not as labelled."""
    parts = [f"{comparison.instances} persons of {comparison.dataset}"]
    if comparison.boxes != "gt":
        parts.append(f"boxes of {comparison.boxes}")
    if comparison.nms != "none":
        parts.append(f"{comparison.nms}")
    if comparison.score_mode != "bbox_keypoint":
        parts.append(f"score mode {comparison.score_mode}")
    elif comparison.keypoint_threshold != DEFAULT_SCORE_SPEC.keypoint_threshold:
        parts.append(f"keypoint threshold {comparison.keypoint_threshold:g}")
    parts.append(f"flip test {'on: two runs a person' if comparison.flip_test else 'off'}")
    return ", ".join(parts)


def drop_sentence(comparison: Comparison, row: Row) -> str:
    """Say what a backend loses against the baseline; empty for the baseline itself."""
    if row.backend == comparison.baseline:
        return ""
    similar = "" if row.oks_vs_baseline is None else f"OKS {row.oks_vs_baseline:.4f}"
    if row.ap_drop is None or row.ap_drop_ci is None:
        first, *rest = [part for part in (similar, *closeness(comparison, row)) if part] or [""]
        return first and "; ".join([f"{first} against {comparison.baseline}", *rest])
    low, high = row.ap_drop_ci
    return (
        f"drop {row.ap_drop:+.4f} AP against {comparison.baseline},"
        f" 95 % interval {low:+.4f} .. {high:+.4f}; {similar}"
    )


def closeness(comparison: Comparison, row: Row) -> list[str]:
    """Say how far outputs and keypoints are from the baseline's; nothing of the baseline itself."""
    if row.backend == comparison.baseline:
        return []
    parts = []
    if row.sqnr_db is not None:
        parts.append(f"SQNR of the outputs {sqnr_text(row.sqnr_db)}")
    if row.keypoint_distance_mean is not None and row.keypoint_distance_p95 is not None:
        parts.append(
            f"keypoints {row.keypoint_distance_mean:.3f} px of the network's input apart on"
            f" average, 95 % of them at most {row.keypoint_distance_p95:.3f} px"
        )
    return parts


def sqnr_text(decibels: Sequence[float]) -> str:
    """Write the SQNR of each output.

    Example:
        >>> sqnr_text((20.04, float("inf")))
        '20.0 dB / exact'
    """
    return " / ".join(map(decibels_text, decibels))


def until_sentence(comparison: Comparison) -> str:
    """Say which drops are within the bound of `--until`, and how many images that took."""
    until = comparison.until
    if until is None:
        return ""
    ran = [row for row in comparison.rows if row.status == "ok"]
    said = {True: "within", False: "over", None: "undecided"}
    verdicts = ", ".join(
        f"{row.backend} {said[row.within]}" for row in ran if row.backend != comparison.baseline
    )
    return (
        f"drop of at most {until.bound:g} AP, after {until.images} of {until.of} images:"
        f" {verdicts or 'nothing to decide'}"
    )


def table_sentence(comparison: Comparison) -> str:
    """Say what cannot be said of the table of the int8 rows; empty where its origin is known."""
    note = comparison.table_note
    return "" if note is None else f"table {comparison.table}: {note}"


def reasons(comparison: Comparison) -> list[str]:
    """List why backends have no figures, a line for each reason."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for row in comparison.failed():
        names.setdefault((row.status, row.reason), []).append(row.backend)
    return [
        f"{', '.join(backends)} {'is' if len(backends) == 1 else 'are'} {status}: {reason}"
        for (status, reason), backends in names.items()
    ]
