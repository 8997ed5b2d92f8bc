"""The independent implementations that tests compare with."""

import warnings
from types import ModuleType

import pytest

from quantkit.errors import Unavailable
from quantkit.model.mmlab import import_mmpose


def mmpose_or_skip() -> ModuleType:
    """Import MMPose, whose packages warn while they load, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_mmpose()
        except Unavailable as error:
            pytest.skip(str(error))
