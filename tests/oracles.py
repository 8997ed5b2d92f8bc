"""What tests compare with or convert by, and may be missing."""

import warnings
from importlib.util import find_spec
from types import ModuleType

import pytest

from quantkit.errors import Unavailable
from quantkit.model.mmlab import import_mmpose

# Found, not imported: importing the package imports torch.
NEEDS_PNNX = pytest.mark.skipif(find_spec("pnnx") is None, reason="pnnx is not installed")


def mmpose_or_skip() -> ModuleType:
    """Import MMPose, whose packages warn while they load, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_mmpose()
        except Unavailable as error:
            pytest.skip(str(error))
