"""A search for the fastest mix, for a terminal."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from quantkit.report.sensitivity import drop, pixels
from quantkit.sensitivity.search_report import Confirmation, SearchReport, Tried


def search_table(report: SearchReport) -> Group:
    """Draw what was tried, what was chosen and why.

    Args:
        report: The search.
    """
    title = f"{report.model}: fastest mix from table {report.base}, chosen: {report.chosen}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("mix", overflow="fold")
    last = "AP drop, 95 %" if _has_drop(report) else "mean px"
    for name in ("int8", "fp32 MACs", "ms", "p10", "of fp32", "dB", last):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in report.tried:
        if one.ratio is not None or one.broken is None:
            table.add_row(
                *_row(one, _has_drop(report)), style="bold" if one.name == report.chosen else None
            )
    lines = [f"Chosen: {report.why}.", _times(report), _accuracy(report), *_written(report)]
    if report.table_note is not None:
        lines.append(f"Table {report.base}: {report.table_note}.")
    return Group(Text(title, "bold"), table, Text("\n".join(lines), "dim"))


def _has_drop(report: SearchReport) -> bool:
    return any(one.effect is not None and one.effect.ap_drop is not None for one in report.tried)


def _row(one: Tried, has_drop: bool) -> tuple[str, ...]:
    effect = one.effect
    return (
        one.name,
        str(one.int8_layers),
        f"{one.fp32_macs:.1%}",
        "" if one.median_ms is None else f"{one.median_ms:.3f}",
        "" if one.p10_ms is None else f"{one.p10_ms:.3f}",
        "" if one.ratio is None else f"{one.ratio:.2f}",
        "" if effect is None or effect.sqnr_db is None else f"{effect.sqnr_db:.1f}",
        "" if effect is None else drop(effect) if has_drop else pixels(effect.peak_shift_px),
        one.broken or ("*" if one.pareto else ""),
    )


def drop_text(drop: float | None, interval: tuple[float, float] | None) -> str:
    """Write a drop with its interval.

    Example:
        >>> drop_text(0.0012, (-0.003, 0.005))
        '0.0012 [-0.0030, 0.0050]'
    """
    if drop is None:
        return ""
    return f"{drop:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def confirmed_text(found: Confirmation) -> str:
    """Write what validation data say of a mix."""
    if found.oks_vs_fp32 is not None:
        lost = drop_text(found.ap_drop, found.ap_drop_ci) or "no labels"
        return f"AP drop {lost}, OKS to fp32 {found.oks_vs_fp32:.4f}"
    mean, most = pixels(found.keypoint_distance_mean), pixels(found.keypoint_distance_p95)
    return f"keypoints {mean} px of the network's input from fp32's, 95 % at most {most} px"


def _times(report: SearchReport) -> str:
    cpu = report.machine.get("cpu", "an unnamed machine")
    if all(one.median_ms is None for one in report.tried):
        return f"Times: of the layers alone, as given for {cpu}; whole networks were not timed."
    return (
        f"Times: median and tenth percentile on {cpu}, one thread, all in turn; fp32 measured twice"
        f" differs by {report.network_noise:.1%}, and less than {report.claim:.0%} is not claimed."
    )


def _accuracy(report: SearchReport) -> str:
    persons = f"{report.persons} train persons"
    against = "labels" if report.labels == "labels" else "the keypoints of fp32 as labels"
    what = f"SQNR in dB and drop: on {persons}, against {against}"
    if not _has_drop(report):
        what = (
            f"SQNR in dB and mean px, how far keypoints are from those of fp32 in pixels of the"
            f" network's input: on {persons}"
        )
    text = f"{what}; *: none is better in all of them."
    found = report.confirmed
    if found is None:
        return text
    return f"{text} Confirmed once on {found.dataset}: {confirmed_text(found)}."


def _written(report: SearchReport) -> list[str]:
    masks = ""
    if report.masks:
        masks = (
            f"; 31=64 for {len(report.masks)} layers in {report.table}.param, which ncnn2int8 drops"
        )
    if report.joined_shuffles:
        masks += (
            f"; {report.joined_shuffles} channel shuffles run as one layer in {report.table}.param"
        )
    return [f"Written: table {report.table}, with the reason for every layer in fp32{masks}."]
