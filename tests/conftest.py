"""What all tests share.

Random tests draw the same examples in every run, so that none fails by luck. New ones are drawn
by `pytest --hypothesis-profile fresh`, for a nightly run; what it finds becomes a test of its own.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fresh", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(
            f"{variable} is not set: it names the folder of data that lies beside the project"
        )
    return Path(value)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real COCO crops and trained networks."""
    return _folder("QUANTKIT_REAL_DATA")


@pytest.fixture(scope="session")
def golden() -> Path:
    """What ncnn2table and ncnn2int8 wrote."""
    return _folder("QUANTKIT_GOLDEN")
