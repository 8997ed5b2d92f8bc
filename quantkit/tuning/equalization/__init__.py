"""Whole-graph equalization: one factor for all channels that must keep their ratio."""
