"""A report as one HTML file that needs nothing else: pictures inside, no script."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final

from quantkit.report.contents import Missing, ReportContents
from quantkit.report.curve import curve_caption, curve_title, recommendation_line
from quantkit.report.html_curve import findings_list, sizes_table
from quantkit.report.html_markup import escaped, paragraph, table
from quantkit.report.html_ranking import advice_list, ranking_sentence, ranking_tables
from quantkit.report.html_tables import (
    backends_table,
    search_sentences,
    tried_table,
    views_table,
)
from quantkit.report.pictures import (
    ALL_LAYERS,
    CURVE,
    DROPS,
    HISTOGRAMS,
    OUTLIERS,
    PARETO,
    RANKING,
    WEIGHTS,
)
from quantkit.report.sentences import data_sentence, drop_sentence, table_sentence

_STYLE: Final = """
body { max-width: 1000px; margin: 0 auto; padding: 16px; background: #fff; color: #222;
       font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 8px 0; } h2 { font-size: 20px; margin: 36px 0 8px; }
h3 { font-size: 15px; margin: 16px 0 2px; }
img { width: 100%; height: auto; } figure { margin: 12px 0; }
figcaption, .note { color: #555; font-size: 13px; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0; width: 100%; }
th, td { text-align: left; padding: 3px 8px 3px 0; border-bottom: 1px solid #e4e4e4;
         vertical-align: top; overflow-wrap: anywhere; }
th { border-bottom: 1px solid #888; overflow-wrap: normal; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.strong td { font-weight: bold; } tr.dim td { color: #777; }
code { background: #f3f3f3; padding: 1px 4px; } ul { margin: 4px 0; padding-left: 20px; }
details summary { cursor: pointer; margin: 8px 0; }
"""


def report_html(contents: ReportContents, pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Args:
        contents: What has been measured.
        pictures: File name to PNG; a picture that is not there is left out.

    Returns:
        HTML whose only images are inlined; all names in it are escaped.
    """
    sections = [
        f"<h1>{escaped(contents.model)}: what int8 costs</h1>",
        *_backends(contents, pictures),
        *_ranking(contents, pictures),
        *_views(contents, pictures),
        *_search(contents, pictures),
        *_curve(contents, pictures),
        *_missing(contents.missing),
        _versions(contents),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escaped(contents.model)}: what int8 costs</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def _backends(contents: ReportContents, pictures: Mapping[str, bytes]) -> list[str]:
    found = contents.comparison
    if found is None:
        return []
    said = [
        f"{row.backend}: {sentence}"
        for row in found.rows
        if row.precision == "int8" and (sentence := drop_sentence(found, row))
    ]
    caption = (
        "A line is the 95 % interval of a drop, from the same images for both backends: where it"
        " reaches zero, the loss cannot be told from none."
    )
    table_named = "" if found.table is None else f" Table of int8: {found.table}."
    return [
        "<h2>Backends</h2>",
        paragraph(f"{data_sentence(found)}.{table_named}"),
        *([paragraph(f"{note[0].upper()}{note[1:]}.")] if (note := table_sentence(found)) else []),
        *[paragraph(f"{one}.") for one in said],
        *_figure(pictures, DROPS, "AP drop of every backend", caption),
        backends_table(found),
    ]


def _ranking(contents: ReportContents, pictures: Mapping[str, bytes]) -> list[str]:
    found = contents.ranking
    if found is None:
        return []
    return [
        "<h2>Layers, worst first</h2>",
        paragraph(ranking_sentence(found)),
        *_figure(pictures, RANKING, "The worst layers", ""),
        *_figure(pictures, ALL_LAYERS, "All layers by their place in the ranking", ""),
        *advice_list(found),
        *ranking_tables(found),
    ]


def _views(contents: ReportContents, pictures: Mapping[str, bytes]) -> list[str]:
    views = contents.views
    if not views:
        return []
    inputs = (
        f"The inputs of the worst layers, collected again from {views[0].crops} calibration crops;"
        " what lies right of the table's threshold is clipped. The other thresholds are what these"
        " methods would choose from these crops."
    )
    weights = (
        "Each output channel has a scale of its own, so a wide range costs nothing by itself."
        " Below: the integer that the largest weight becomes, 127 at most; a 3x3 convolution has"
        " fewer where Winograd's sums could overflow (orange: less than 64, a bit is lost)."
    )
    return [
        "<h2>The worst layers from inside</h2>",
        *_figure(pictures, HISTOGRAMS, "Histograms of the inputs, with thresholds", inputs),
        *_figure(pictures, WEIGHTS, "Weight ranges and levels by output channel", weights),
        views_table(views),
    ]


def _search(contents: ReportContents, pictures: Mapping[str, bytes]) -> list[str]:
    found = contents.search
    if found is None:
        return []
    caption = (
        "Numbers are those of the table below. Every panel has the front of its own two figures."
        " The 95 % intervals of the drops stand in the table."
    )
    return [
        "<h2>The fastest mix of fp32 and int8</h2>",
        *[paragraph(one) for one in search_sentences(found)],
        *_figure(pictures, PARETO, "Accuracy against latency and work in fp32", caption),
        tried_table(found),
    ]


def _curve(contents: ReportContents, pictures: Mapping[str, bytes]) -> list[str]:
    found = contents.curve
    if found is None:
        return []
    return [
        "<h2>How many crops a table needs</h2>",
        paragraph(recommendation_line(found)),
        *_figure(pictures, CURVE, "SQNR, AP drop and scales by the number of crops", ""),
        paragraph(f"{curve_title(found)}."),
        sizes_table(found),
        f'<p class="note">{escaped(curve_caption(found))}</p>',
        *findings_list(found),
        *_figure(pictures, OUTLIERS, "The crops that alone set the largest value of layers", ""),
    ]


def _figure(pictures: Mapping[str, bytes], name: str, alt: str, caption: str) -> list[str]:
    if name not in pictures:
        return []
    data = base64.b64encode(pictures[name]).decode()
    below = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
    return [
        f'<figure><img alt="{escaped(alt)}" src="data:image/png;base64,{data}">{below}</figure>'
    ]


def _missing(missing: Sequence[Missing]) -> list[str]:
    if not missing:
        return []
    rows = [
        (escaped(m.what), escaped(m.why), f"<code>{escaped(m.command)}</code>") for m in missing
    ]
    return ["<h2>What is missing</h2>", table(("what", "why", "made by"), rows)]


def _versions(contents: ReportContents) -> str:
    listed = ", ".join(f"{name} {version}" for name, version in contents.versions.items())
    return f'<p class="note">{escaped(listed)}</p>'
