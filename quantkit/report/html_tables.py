"""The tables of a report, but for the ranking."""

from collections.abc import Sequence

from quantkit.evaluation.comparison import Comparison, Row
from quantkit.report.html_markup import breakable, escaped, table
from quantkit.report.layer_view import LayerView
from quantkit.report.search import confirmed_text, drop_text
from quantkit.report.sensitivity import SHORT_TYPES, pixels
from quantkit.report.sentences import reasons, sqnr_text
from quantkit.sensitivity.search_report import SearchReport, Tried

_BACKENDS = (
    *("backend", "precision", "AP", "drop", "95 % interval", "AP50", "AP75", "AR", "AR50"),
    *("OKS", "SQNR", "mean px", "95 % px", "ms", "MB"),
)
_TRIED = (
    *("#", "mix", "int8", "fp32 MACs", "ms", "of fp32", "SQNR, dB", "mean px", "OKS drop"),
    *("AP drop", ""),
)


def backends_table(comparison: Comparison) -> str:
    """Write the rows of an evaluation; a backend without figures says why."""
    rows = [_backend(row, comparison) for row in comparison.rows]
    classes = ["" if row.status == "ok" else "dim" for row in comparison.rows]
    used = [k for k in range(len(_BACKENDS)) if any(row[k] for row in rows)]
    names = [_BACKENDS[k] for k in used]
    cells = [[escaped(row[k]) for k in used] for row in rows]
    failed = "".join(f'<p class="note">{escaped(line)}</p>' for line in reasons(comparison))
    return table(names, cells, numbers=_BACKENDS[2:], classes=classes) + failed


def views_table(views: Sequence[LayerView]) -> str:
    """Write what the pictures of the worst layers show, as figures."""
    names = (
        "layer",
        "type",
        "largest input",
        "threshold",
        "clipped",
        "zeros",
        "others",
        "channels",
    )
    columns = (*names, "weight range", "least levels")
    rows = [[breakable(view.name), *map(escaped, _view(view))] for view in views]
    return table(columns, rows, numbers=columns[2:])


def search_sentences(report: SearchReport) -> list[str]:
    """Say what a search was to hold, what it chose, and what validation says."""
    bounds = report.bounds
    held = [
        *([] if bounds.max_drop is None else [f"an AP drop of at most {bounds.max_drop:g}"]),
        *([] if bounds.min_sqnr is None else [f"an output SQNR of {bounds.min_sqnr:g} dB"]),
    ]
    cpu = report.machine.get("cpu", "an unnamed machine")
    found = report.confirmed
    asked = (
        f"From table {report.base}, to hold {' and '.join(held) or 'nothing'}, on"
        f" {report.persons} train persons; layers timed on {cpu}. Times that differ by less than"
        f" {report.claim:.0%} are not told apart."
    )
    text = [
        asked,
        f"Chosen: {report.chosen}; {report.why}. Written as table {report.table}.",
    ]
    if report.table_note is not None:
        text.append(f"Table {report.base}: {report.table_note}.")
    if found is not None:
        said = confirmed_text(found)
        text.append(f"Confirmed once on {found.instances} persons of {found.dataset}: {said}.")
    return text


def tried_table(report: SearchReport) -> str:
    """Write every mix that was tried, numbered as in the picture."""
    rows = [list(map(escaped, _tried(k, one))) for k, one in enumerate(report.tried, start=1)]
    classes = ["strong" if one.name == report.chosen else "" for one in report.tried]
    used = [k for k in range(len(_TRIED)) if not _TRIED[k] or any(row[k] for row in rows)]
    names, cells = [_TRIED[k] for k in used], [[row[k] for k in used] for row in rows]
    return table(names, cells, numbers=(_TRIED[0], *_TRIED[2:-1]), classes=classes)


def _backend(row: Row, comparison: Comparison) -> tuple[str, ...]:
    is_baseline = row.backend == comparison.baseline
    drop = "" if row.ap_drop is None else f"{row.ap_drop:+.4f}"
    apart = row.keypoint_distance_mean, row.keypoint_distance_p95
    interval = "" if row.ap_drop_ci is None or is_baseline else _interval(row.ap_drop_ci)
    return (
        row.backend,
        row.precision,
        _figure(row.ap) or ("" if row.status == "ok" else row.status),
        "baseline" if is_baseline and comparison.has_labels else drop,
        interval,
        *map(_figure, (row.ap50, row.ap75, row.ar, row.ar50)),
        "" if is_baseline else _figure(row.oks_vs_baseline),
        "" if is_baseline or row.sqnr_db is None else sqnr_text(row.sqnr_db),
        *("" if is_baseline or one is None else f"{one:.3f}" for one in apart),
        "" if row.ms_per_instance is None else f"{row.ms_per_instance:.2f}",
        "" if row.size_mb is None else f"{row.size_mb:.2f}",
    )


def _view(view: LayerView) -> tuple[str, ...]:
    spread = view.weight_range
    return (
        SHORT_TYPES.get(view.type, view.type),
        f"{view.statistics.absmax:.4g}",
        f"{view.threshold:.4g}",
        view.clipped,
        f"{view.statistics.zero_fraction:.1%}",
        ", ".join(f"{name} {value:.4g}" for name, value in view.others.items()),
        str(len(view.weight_absmax)),
        "" if spread is None else f"{spread:.3g}x",
        str(int(view.levels.min())),
    )


def _tried(place: int, one: Tried) -> tuple[str, ...]:
    effect = one.effect
    return (
        str(place),
        one.name,
        str(one.int8_layers),
        f"{abs(one.fp32_macs):.1%}",
        f"{one.predicted_ms:.3f} predicted" if one.median_ms is None else f"{one.median_ms:.3f}",
        "" if one.ratio is None else f"{one.ratio:.2f}",
        "" if effect is None or effect.sqnr_db is None else f"{effect.sqnr_db:.1f}",
        "" if effect is None else pixels(effect.peak_shift_px),
        "" if effect is None else _figure(effect.oks_drop),
        "" if effect is None else drop_text(effect.ap_drop, effect.ap_drop_ci),
        one.broken or ("on the front" if one.pareto else ""),
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:+.4f} .. {interval[1]:+.4f}"
