from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import NCNN2TABLE, CalibrationRequest
from quantkit.project.selection_request import SelectionRequest
from tests.projects import small_project


def test_ncnn2table_has_its_own_methods_alone() -> None:
    with pytest.raises(InputError, match="ncnn2table has the methods kl, aciq, eq, not 'minmax'"):
        CalibrationRequest(method="minmax", compat=True)
    with pytest.raises(InputError, match="--compat ncnn2table"):
        CalibrationRequest(method="eq")


def test_candidates_that_the_runtime_gets_wrong_are_not_run() -> None:
    with pytest.raises(InputError, match="stay fp32"):
        CalibrationRequest(keep_hazards=True)


@pytest.mark.parametrize("method", NCNN2TABLE)
def test_each_of_ncnn2tables_methods_makes_a_table_of_its_own_name(
    tmp_path: Path, method: str
) -> None:
    project = small_project(tmp_path / "project")
    request = CalibrationRequest(method=method, compat=True, selection=SelectionRequest(count=4))
    made = calibrate_model(project, request, feedback=Feedback())
    assert made.table.name == f"ncnn2table-{method}.table"
    assert made.prepared == made.fp32
    # Its 6 bits: 31 levels for a 3x3 convolution of stride 1. (eq may go beyond.)
    if method != "eq":
        scales = np.array(read_table(made.table).weight_scales["residual"])
        weights = read_network(made.fp32).weights["residual"]["weight"]
        largest = np.abs(weights.reshape(len(scales), -1)).max(axis=1)
        assert (largest * scales < 31.01).all()
        assert (largest * scales > 16).all()
