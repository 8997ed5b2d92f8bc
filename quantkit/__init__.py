"""quantkit: int8 calibration, sensitivity and evaluation of pose networks for ncnn."""

from importlib.metadata import version

__version__ = version("quantkit")
