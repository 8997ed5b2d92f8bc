"""A calibration table becomes an int8 network."""
