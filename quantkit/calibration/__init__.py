"""Activations become statistics, statistics become a calibration table."""
