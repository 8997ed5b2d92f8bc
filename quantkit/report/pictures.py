"""Every picture of a report, by the name of its file."""

from quantkit.report.contents import ReportContents
from quantkit.report.plots.all_layers import draw_all_layers
from quantkit.report.plots.curve import draw_curve
from quantkit.report.plots.drops import draw_drops
from quantkit.report.plots.histograms import draw_histograms
from quantkit.report.plots.pareto import draw_pareto
from quantkit.report.plots.ranking import WORST, draw_ranking
from quantkit.report.plots.weights import draw_weights

DROPS, RANKING, ALL_LAYERS = "ap_drops.png", "ranking.png", "all_layers.png"
HISTOGRAMS, WEIGHTS, PARETO = "histograms.png", "weights.png", "pareto.png"
CURVE = "curve.png"
OUTLIERS = "curve_outliers.png"
"""Drawn when the curve is measured, from the photos; a report takes it as it is."""
PICTURES = (DROPS, RANKING, ALL_LAYERS, HISTOGRAMS, WEIGHTS, PARETO, CURVE)


def draw_pictures(contents: ReportContents) -> dict[str, bytes]:
    """Draw what there is something to draw of.

    Args:
        contents: What has been measured.

    Returns:
        File name to PNG.

    Raises:
        Unavailable: matplotlib is not installed.
    """
    drawn: dict[str, bytes] = {}
    comparison, ranking = contents.comparison, contents.ranking
    if comparison is not None and any(row.ap_drop is not None for row in comparison.rows):
        drawn[DROPS] = draw_drops(comparison)
    if ranking is not None and ranking.layers:
        drawn[RANKING] = draw_ranking(ranking)
        if len(ranking.layers) > WORST:
            drawn[ALL_LAYERS] = draw_all_layers(ranking)
    if contents.views:
        drawn[HISTOGRAMS] = draw_histograms(contents.views)
        drawn[WEIGHTS] = draw_weights(contents.views)
    if contents.search is not None:
        drawn[PARETO] = draw_pareto(contents.search)
    if contents.curve is not None:
        drawn[CURVE] = draw_curve(contents.curve)
    return drawn
