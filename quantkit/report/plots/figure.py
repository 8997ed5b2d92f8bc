"""One style for all pictures, and a PNG that depends on nothing but what is drawn."""

import io
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any, Final

from quantkit.optional import require

Figure = Any
Axes = Any
Draw = Callable[[Figure], None]

BLUE: Final = "#0072b2"
ORANGE: Final = "#d55e00"
GREEN: Final = "#009e73"
PURPLE: Final = "#9a4f96"
GREY: Final = "#8a8a8a"
PALE: Final = "#c8c8c8"
INK: Final = "#222222"

TYPE_COLORS: Final = {
    "Convolution": BLUE,
    "ConvolutionDepthWise": ORANGE,
    "InnerProduct": GREEN,
}
"""By ncnn type, in Okabe and Ito's colours, which the colour-blind can tell apart."""

_DPI: Final = 144
_FEW_DECADES: Final = 100
_STYLE: Final = {
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    # A layer may be called '$x$': names are text, not formulas.
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}


def picture(width: float, height: float, draw: Draw) -> bytes:
    """Draw a picture.

    Args:
        width: In inches; ten are as wide as the page of a report.
        height: In inches.
        draw: Fills the empty figure that it is given.

    Returns:
        A PNG file; the same bytes for the same drawing.

    Raises:
        Unavailable: matplotlib is not installed.
    """
    matplotlib = require_matplotlib("A picture")
    figures = require("matplotlib.figure", extra="report", purpose="A picture")
    data = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The font lacks some scripts: a name in one of them becomes boxes, and that is all.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # What a matplotlibrc of the user says has no place in a result.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = figures.Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        draw(figure)
        # No date and no version, so that equal figures give equal bytes.
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def require_matplotlib(purpose: str = "A report") -> Any:
    """Import matplotlib, or say how to install it.

    Args:
        purpose: What needs it, as the subject of the message.

    Raises:
        Unavailable: It is not installed.
    """
    return require("matplotlib", extra="report", purpose=purpose)


def set_log(axes: Axes, low: float, high: float) -> None:
    """Make the upright axis logarithmic, with plain numbers on it.

    Args:
        axes: Of matplotlib.
        low: The least value that is drawn, positive.
        high: The largest one.
    """
    ticker = require("matplotlib.ticker", extra="report", purpose="A picture")
    axes.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if high < _FEW_DECADES * low else (1.0,)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:,.0f}" if low >= 1 else "{x:g}")
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def short_name(name: str, most: int = 30) -> str:
    """Shorten a layer's name in its middle: beginnings and ends tell layers apart.

    Example:
        >>> short_name("mobilenetv20_features_linearbottleneck15_conv2_fwd", 24)
        'mobilenetv2…15_conv2_fwd'
    """
    shown = "".join("?" if unicodedata.category(c).startswith("C") else c for c in name)
    if len(shown) <= most:
        return shown
    tail = most // 2
    return f"{shown[: most - tail - 1]}…{shown[-tail:]}"
