from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import (
    NAMES,
    NCNN2TABLE,
    CalibrationRequest,
    default_selection,
)
from quantkit.project.selection_request import SelectionRequest
from quantkit.selection import STRATEGIES
from tests.projects import small_project


def test_ncnn2table_has_its_own_methods_alone() -> None:
    with pytest.raises(InputError, match="ncnn2table has the methods kl, aciq, eq, not 'minmax'"):
        CalibrationRequest(method="minmax", compat=True)
    with pytest.raises(InputError, match="--compat ncnn2table"):
        CalibrationRequest(method="eq")


def test_candidates_that_the_runtime_gets_wrong_are_not_run() -> None:
    with pytest.raises(InputError, match="stay fp32"):
        CalibrationRequest(keep_hazards=True)


@pytest.mark.parametrize("method", NAMES)
def test_sets_are_measured_by_the_method_of_the_table_where_statistics_decide(method: str) -> None:
    found = default_selection(method)
    if method == "best":
        assert found == SelectionRequest("random")
        assert found.sized(5000).count == 128
    else:
        assert found == SelectionRequest("measured", method=method)
        assert found.sized(5000).count == 16
    assert CalibrationRequest(method=method).selected == found


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_strategy_takes_the_place_of_the_methods(method: str, strategy: str) -> None:
    found = default_selection(method, strategy)
    assert found.strategy == strategy
    assert found.method == ("kl" if method == "best" else method)
    assert found.sized(5000).count == (16 if strategy == "measured" else 128)


def test_a_set_for_ncnn2tables_own_method_is_drawn() -> None:
    assert default_selection("eq") == SelectionRequest("random")


def test_a_selection_that_is_given_is_taken() -> None:
    given = SelectionRequest("first", 3)
    assert CalibrationRequest(method="kl", selection=given).selected == given


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
