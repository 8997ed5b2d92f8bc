"""The ranking of the layers, worst first, and what to do about the worst."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from quantkit.sensitivity.figures import Advice, Effect
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport

SHORT_TYPES: Final = {
    "Convolution": "conv",
    "ConvolutionDepthWise": "dw conv",
    "InnerProduct": "inner",
}
"""Names of ncnn types that leave room for figures."""
_SAID: Final = 2  # findings of a layer
_ADVISED: Final = 5  # layers


def sensitivity_table(report: SensitivityReport, worst: int | None = None) -> Group:
    """Draw a ranking for a terminal of 100 columns.

    Args:
        report: The ranking.
        worst: Show this many layers; all of them by default.
    """
    shown = report.layers[:worst]
    title = f"{report.model}: {len(shown)} of {len(report.layers)} layers, worst first"
    names = _columns(report)
    table = _table(names)
    for place, layer in enumerate(shown, start=1):
        cells = _row(report, layer)
        table.add_row(str(place), layer.name, *(cells[name] for name in names))
    caption = Text(_caption(report), "dim")
    return Group(Text(title, "bold"), table, caption, *_advice(shown))


def decibels(effect: Effect) -> str:
    """Write an SQNR, or what happened instead.

    Example:
        >>> decibels(Effect(21.25)), decibels(Effect(cosine=1.0)), decibels(Effect(died="SIGSEGV"))
        ('21.2', 'no noise', 'SIGSEGV')
    """
    if effect.died is not None:
        return effect.died
    return "no noise" if effect.sqnr_db is None else f"{effect.sqnr_db:.1f}"


def drop(effect: Effect) -> str:
    """Write an AP drop with its interval, or nothing where it was not measured.

    Example:
        >>> drop(Effect(ap_drop=0.0041, ap_drop_ci=(-0.001, 0.0123)))
        '+.004 [-.001, +.012]'
    """
    if effect.ap_drop is None or effect.ap_drop_ci is None:
        return ""
    low, high = map(_signed, effect.ap_drop_ci)
    return f"{_signed(effect.ap_drop)} [{low}, {high}]"


def pixels(value: float | None) -> str:
    """Write a distance in pixels, or nothing where it was not measured.

    Example:
        >>> pixels(1.25)
        '1.250'
    """
    return "" if value is None else f"{value:.3f}"


def shifts(effect: Effect) -> str:
    """Write how far keypoints move, the mean and the 95th percentile.

    Example:
        >>> shifts(Effect(peak_shift_px=0.5, peak_shift_p95_px=2.0))
        '0.500, 2.000'
    """
    return ", ".join(filter(None, map(pixels, (effect.peak_shift_px, effect.peak_shift_p95_px))))


def has_oks(report: SensitivityReport) -> bool:
    """Tell whether keypoints were compared by OKS; else the pixels that they move tell more."""
    return any(layer.alone.oks_drop is not None for layer in report.layers)


def shifts_sentence(report: SensitivityReport) -> str:
    """Say what the pixels are that stand in place of OKS; empty where there are none."""
    if has_oks(report) or all(layer.alone.peak_shift_px is None for layer in report.layers):
        return ""
    return "px: how far keypoints are from those of fp32, in pixels of the network's input"


def advice_line(advice: Advice) -> str:
    """Write a finding with its remedy and what that brought.

    Example:
        >>> advice_line(Advice("first", "It is the first layer.", "keep it in fp32", 1.234))
        'It is the first layer. Remedy: keep it in fp32 (measured: +1.23 dB).'
    """
    gain = "" if advice.gain_db is None else f" (measured: {advice.gain_db:+.2f} dB)"
    return f"{advice.sentence} Remedy: {advice.remedy}{gain}."


def advised(layers: Sequence[LayerSensitivity]) -> list[LayerSensitivity]:
    """Choose the layers whose findings are shown: the first few that have any."""
    return [one for one in layers if one.advice][:_ADVISED]


def said(layer: LayerSensitivity) -> list[Advice]:
    """Choose the findings on a layer that are shown, one a remedy."""
    # Several findings may lead to one remedy: the first of them says enough.
    remedies = {one.remedy: one for one in reversed(layer.advice)}
    return [one for one in layer.advice if remedies[one.remedy] is one][:_SAID]


def _columns(report: SensitivityReport) -> list[str]:
    """List the columns after the layer's name; those without any figure are left out."""
    has_drop = any(layer.alone.ap_drop is not None for layer in report.layers)
    return [
        *("type", "MACs", "alone", "w / in", "in fp32"),
        *(["OKS"] if has_oks(report) else []),
        *(["px mean, 95 %"] if shifts_sentence(report) else []),
        *(["AP drop, 95 %"] if has_drop else []),
        *(["ms 32, 8"] if _is_timed(report) else []),
    ]


def _table(names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("#", justify="right")
    table.add_column("layer", overflow="fold", min_width=16)
    for name in names:
        table.add_column(name, justify="left" if name == "type" else "right", no_wrap=True)
    return table


def _row(report: SensitivityReport, layer: LayerSensitivity) -> dict[str, str]:
    gain = layer.gain_db(report.all_int8)
    oks = layer.alone.oks_drop
    ms = (
        ""
        if layer.ms_fp32 is None or layer.ms_int8 is None
        else f"{_ms(layer.ms_fp32)} {_ms(layer.ms_int8)}"
    )
    return {
        "type": SHORT_TYPES.get(layer.type, layer.type),
        "MACs": f"{layer.macs_share:.1%}",
        "alone": decibels(layer.alone),
        "w / in": _parts(layer),
        "in fp32": "" if gain is None else f"{gain:+.2f}",
        "OKS": "" if oks is None else f"{oks:.4f}"[1:],
        "px mean, 95 %": shifts(layer.alone),
        "AP drop, 95 %": drop(layer.alone),
        "ms 32, 8": ms,
    }


def _ms(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"[1:]


def _parts(layer: LayerSensitivity) -> str:
    if layer.weights is None or layer.activations is None:
        return ""
    return " / ".join(_short(one) for one in (layer.weights, layer.activations))


def _short(effect: Effect) -> str:
    return "-" if effect.died or effect.sqnr_db is None else f"{effect.sqnr_db:.0f}"


def _advice(shown: Sequence[LayerSensitivity]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for layer in advised(shown):
        lines = [Padding(Text(advice_line(one)), (0, 0, 0, 2)) for one in said(layer)]
        parts += [Text(layer.name), *lines]
    return [Text(), Text("What to do", "bold"), *parts] if parts else []


def _caption(report: SensitivityReport) -> str:
    whole = f"{decibels(report.all_int8)}{_whole_drop(report.all_int8)}"
    keypoints = "; OKS: the drop against the fp32 keypoints"
    if not has_oks(report):
        keypoints = shifts_sentence(report) and f"; {shifts_sentence(report)}"
    text = (
        "alone: SQNR in dB of the network's output with this layer alone in int8; w / in: with only"
        " its weights, its input rounded; in fp32: dB that the int8 network gains with this layer"
        f" in fp32{keypoints}{_timing(report)}."
        " Ranked by the noise in the map of each keypoint against its peak, alone."
        f" {report.crops} crops of {report.calibration_set}, table {report.table}."
        f" All layers in int8: {whole}."
    )
    if report.ap_crops:
        against = "the labels" if report.labels == "labels" else "the fp32 keypoints as labels"
        text += f" AP: on {report.ap_crops} of its crops, against {against}."
    if report.table_note is not None:
        text += f" Table {report.table}: {report.table_note}."
    if report.rank_agreement is not None:
        text += f" Rank correlation with their OKS drop: {report.rank_agreement:.2f}."
    return text


def _is_timed(report: SensitivityReport) -> bool:
    return any(layer.ms_int8 is not None for layer in report.layers)


def _timing(report: SensitivityReport) -> str:
    return "; ms 32, 8: time in fp32 and in int8" if _is_timed(report) else ""


def _whole_drop(effect: Effect) -> str:
    db = " dB" if effect.died is None and effect.sqnr_db is not None else ""
    return f"{db}, AP drop {drop(effect)}" if effect.ap_drop is not None else db


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1)
