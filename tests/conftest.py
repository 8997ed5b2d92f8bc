import os
from pathlib import Path

import pytest


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
