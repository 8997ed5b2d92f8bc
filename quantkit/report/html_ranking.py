"""The ranking of the layers for a report: all of them, and what to do about the worst."""

from quantkit.report.html_markup import breakable, escaped, table
from quantkit.report.sensitivity import (
    SHORT_TYPES,
    advice_line,
    advised,
    decibels,
    drop,
    has_oks,
    said,
    shifts,
    shifts_sentence,
)
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport

_COLUMNS = (
    *("#", "layer", "type", "MACs", "alone", "weights", "input", "gain", "px mean, 95 %"),
    *("OKS drop", "AP drop, 95 %", "ms fp32", "ms int8", "best"),
)
_NUMBERS = (_COLUMNS[0], *_COLUMNS[3:13])
_ALWAYS = 3
_SHOWN = 40


def ranking_tables(report: SensitivityReport) -> list[str]:
    """Write every layer of a ranking as a row; those after the worst can be folded away."""
    rows = [_row(report, k, layer) for k, layer in enumerate(report.layers, start=1)]
    used = [k for k in range(len(_COLUMNS)) if k < _ALWAYS or any(row[k] for row in rows)]
    names = [_COLUMNS[k] for k in used]
    cells = [[breakable(row[k]) if k == 1 else escaped(row[k]) for k in used] for row in rows]
    first, rest = cells[:_SHOWN], cells[_SHOWN:]
    parts = [table(names, first, numbers=_NUMBERS)]
    if rest:
        folded = table(names, rest, numbers=_NUMBERS)
        summary = f"The other {len(rest)} layers"
        parts.append(f"<details><summary>{summary}</summary>{folded}</details>")
    return parts


def ranking_sentence(report: SensitivityReport) -> str:
    """Say what the figures of a ranking are."""
    effect = report.all_int8
    whole = decibels(effect) if effect.sqnr_db is None else f"{decibels(effect)} dB"
    text = (
        f"Table {report.table}, {report.crops} crops of {report.calibration_set}. Alone: SQNR in"
        " dB of the network's output with only this layer in int8; weights, input: with only these"
        " rounded; gain: dB that the int8 network gains with this layer in fp32; best: the"
        " precision that the figures speak for. All layers in int8:"
        f" {whole}{_ap(effect)}."
    )
    if shifts_sentence(report):
        text += f" {shifts_sentence(report)}."
    if any(layer.alone.peak_noise_db is not None for layer in report.layers):
        text += " Ranked by the noise in the map of each keypoint against its peak, alone."
    if report.rank_agreement is not None:
        text += f" Rank correlation with their OKS drop: {report.rank_agreement:.2f}."
    if report.ap_crops:
        against = "the labels" if report.labels == "labels" else "the keypoints of fp32 as labels"
        text += f" AP on {report.ap_crops} crops, against {against}."
    if report.left_out:
        text += f" Left in fp32 by the table: {', '.join(report.left_out)}."
    if report.table_note is not None:
        text += f" Table {report.table}: {report.table_note}."
    return text


def advice_list(report: SensitivityReport) -> list[str]:
    """Write the findings on the worst layers, each with its remedy."""
    layers = advised(report.layers)
    parts = ["<h3>What to do</h3>"] if layers else []
    for layer in layers:
        lines = "".join(f"<li>{escaped(advice_line(one))}</li>" for one in said(layer))
        parts.append(f"<p><b>{escaped(layer.name)}</b></p><ul>{lines}</ul>")
    return parts


def _row(report: SensitivityReport, place: int, layer: LayerSensitivity) -> tuple[str, ...]:
    gain = layer.gain_db(report.all_int8)
    oks = layer.alone.oks_drop
    return (
        str(place),
        layer.name,
        SHORT_TYPES.get(layer.type, layer.type),
        f"{layer.macs_share:.1%}",
        decibels(layer.alone),
        "" if layer.weights is None else decibels(layer.weights),
        "" if layer.activations is None else decibels(layer.activations),
        "" if gain is None else f"{gain:+.2f}",
        "" if has_oks(report) else shifts(layer.alone),
        "" if oks is None else f"{oks:.4f}",
        drop(layer.alone),
        _ms(layer.ms_fp32),
        _ms(layer.ms_int8),
        layer.recommended or "",
    )


def _ap(effect: Effect) -> str:
    return f", AP drop {drop(effect)}" if effect.ap_drop is not None else ""


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
