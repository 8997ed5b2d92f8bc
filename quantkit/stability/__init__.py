"""How a table settles: with the size of its calibration set, over seeds, between disjoint sets."""

from quantkit.stability.disjoint import Disagreement, compare_disjoint
from quantkit.stability.report import CurveReport, read_curve

__all__ = ["CurveReport", "Disagreement", "compare_disjoint", "read_curve"]
