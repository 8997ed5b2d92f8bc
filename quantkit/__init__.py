"""quantkit: int8 calibration, sensitivity and evaluation of pose networks for ncnn."""

__version__ = "0.1.0"
