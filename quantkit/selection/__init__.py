"""Which person crops calibrate the network, and the manifest that says so."""

from quantkit.selection.strategies import DEFAULT_COUNT, METHODS, MethodName, select

__all__ = ["DEFAULT_COUNT", "METHODS", "MethodName", "select"]
