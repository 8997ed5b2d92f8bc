"""All that a report is made of, found before a line of it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantkit.evaluation.comparison import Comparison
from quantkit.report.layer_view import LayerView
from quantkit.sensitivity.report import SensitivityReport
from quantkit.sensitivity.search_report import SearchReport
from quantkit.stability.report import CurveReport


@dataclass(frozen=True)
class Missing:
    """Something that the report would show if it were there.

    Attributes:
        what: What it is.
        why: Why it is not there.
        command: What makes it.
    """

    what: str
    why: str
    command: str

    def line(self) -> str:
        """Say it in one line.

        Example:
            >>> Missing("the ranking", "not measured", "quantkit sensitivity").line()
            'the ranking: not measured; made by: quantkit sensitivity'
        """
        return f"{self.what}: {self.why}; made by: {self.command}"


@dataclass(frozen=True)
class ReportContents:
    """What has been measured of a model; None, or nothing, where it has not been.

    Attributes:
        model: Name of the model.
        comparison: The backends.
        ranking: The layers.
        search: The search for a mixed table.
        views: Inputs and weights of the worst layers.
        curve: How tables settle with the number of crops.
        missing: What is not there.
        versions: Package to version, of those that made the report.
    """

    model: str
    comparison: Comparison | None
    ranking: SensitivityReport | None
    search: SearchReport | None
    views: Sequence[LayerView]
    curve: CurveReport | None
    missing: Sequence[Missing]
    versions: Mapping[str, str]
