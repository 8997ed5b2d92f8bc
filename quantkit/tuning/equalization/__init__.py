"""Whole-graph equalization: one factor for all channels that must keep their ratio."""

from quantkit.tuning.equalization.equalize import EqualizationReport, Equalized, equalize
from quantkit.tuning.equalization.ranges import ChannelRanges, channel_ranges

__all__ = ["ChannelRanges", "EqualizationReport", "Equalized", "channel_ranges", "equalize"]
