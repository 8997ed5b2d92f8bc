"""How a table settles: with the size of its calibration set, over seeds, between disjoint sets."""
