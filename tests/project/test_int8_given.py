"""A project around a network that is int8 already."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network, write_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.calibrating import calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.choosing import choose_set
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.quantizing import quantize_model
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.table_files import ncnn_model, project_model
from quantkit.quantization import quantize
from tests.nets import crop
from tests.projects import small_project
from tests.quantization.agreement import simple_table

SILENT = Feedback()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = small_project(tmp_path / "project", images=2)
    assert isinstance(project.source, NcnnFiles)
    network = read_network(project.source)
    layers = [layer.name for layer in int8_layers(network)]
    table = simple_table(network, crop(np.random.default_rng(0)), layers)
    (tmp_path / "own.table").write_text(table.text())
    int8 = quantize(network, table)
    write_network(int8, project.source.param, project.source.bin, overwrite=True)
    return project


def test_every_step_that_needs_fp32_says_so(project: Project, tmp_path: Path) -> None:
    assert isinstance(project.source, NcnnFiles)
    files, table = project.source, tmp_path / "own.table"
    steps = (
        lambda: calibrate_model(project, CalibrationRequest(method="kl"), feedback=SILENT),
        lambda: ready_table(project, "kl", feedback=SILENT),
        lambda: ready_table(project, table, feedback=SILENT),
        lambda: quantize_model(project, table, SILENT),
        lambda: choose_set(project, SelectionRequest("random", count=2), feedback=SILENT),
        lambda: project_model(project, table, SILENT),
        lambda: ncnn_model(files.param, files.bin),
    )
    for step in steps:
        with pytest.raises(InputError, match=r"net\.param: is int8 already \('stem', "):
            step()


def test_it_is_evaluated_as_what_it_is(project: Project) -> None:
    notes: list[str] = []
    found = evaluate_backends(project, backends=["ncnn"], feedback=Feedback(note=notes.append))
    assert [(row.backend, row.precision, row.status) for row in found.rows] == [
        ("ncnn", "int8", "ok")
    ]
    assert "the project's network is int8 already: row 'ncnn' is not fp32" in notes
