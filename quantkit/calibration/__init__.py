"""Activations become statistics, statistics become a calibration table."""

from quantkit.calibration.methods import METHODS, MethodName

__all__ = ["METHODS", "MethodName"]
