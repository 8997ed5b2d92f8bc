"""Which person crops calibrate the network, and the manifest that says so."""

from quantkit.selection.strategies import STRATEGIES, StrategyName, select

__all__ = ["STRATEGIES", "StrategyName", "select"]
