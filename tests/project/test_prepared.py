import shutil
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network
from quantkit.model.shapes import blob_shapes
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.calibrating import Calibrated, calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.quantizing import quantize_model
from quantkit.project.ranking import rank_layers
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.table_files import check_table_file, project_model
from quantkit.tuning.equalization.channel_graph import channel_graph
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.recipe import Recipe
from tests.nets import INPUT, OUTPUT, SIZE
from tests.projects import small_project
from tests.quantization.agreement import simple_table
from tests.tuning.equalized_nets import far_factors

ANOTHER = r"best\.table: belongs to another network than best\.param"
KL = CalibrationRequest(method="kl", selection=SelectionRequest(count=6))
BEST = CalibrationRequest(selection=SelectionRequest(count=6), recipe=Recipe(learning=0))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


@pytest.fixture
def made(project: Project) -> Calibrated:
    return calibrate_model(project, BEST, feedback=Feedback())


def test_the_network_of_a_best_table_lies_beside_it(project: Project, made: Calibrated) -> None:
    assert made.table == project.tables_dir / "best.table"
    assert made.prepared.param == project.tables_dir / "best.param"
    assert made.prepared.bin == project.tables_dir / "best.bin"
    assert read_network(made.prepared).sha256 != read_network(made.fp32).sha256
    assert any("best.param" in line for line in made.lines())


def test_the_int8_network_is_made_from_it(project: Project, made: Calibrated) -> None:
    # The biases were changed: those of the int8 network are the prepared ones.
    prepared, int8, fp32 = (
        read_network(files).weights["stem"]["bias"]
        for files in (made.prepared, made.int8, made.fp32)
    )
    assert (prepared == int8).all()
    assert (prepared != fp32).any()


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_without_its_network_a_table_is_refused(
    project: Project, made: Calibrated, suffix: str
) -> None:
    made.table.with_suffix(suffix).unlink()
    with pytest.raises(InputError, match=r"best\.table: belongs to the network best\.param, which"):
        ready_table(project, "best", feedback=Feedback())


def test_with_another_network_a_table_is_refused_by_every_command(
    project: Project, made: Calibrated
) -> None:
    content = bytearray(made.prepared.bin.read_bytes())
    content[-1] ^= 1
    made.prepared.bin.write_bytes(content)
    with pytest.raises(InputError, match=ANOTHER):
        ready_table(project, "best", feedback=Feedback())
    with pytest.raises(InputError, match=ANOTHER):
        rank_layers(project, table="best", feedback=Feedback())
    with pytest.raises(InputError, match=ANOTHER):
        quantize_model(project, made.table, Feedback())
    checked = check_table_file(made.table, project_model(project, made.table, Feedback()))
    assert any("another network" in finding.message for finding in checked)


def test_a_table_is_linted_against_its_own_network(project: Project, made: Calibrated) -> None:
    checked = check_table_file(made.table, project_model(project, made.table, Feedback()))
    assert [one for one in checked if one.severity == "error"] == []


def test_a_mixed_table_with_its_network_beside_it_is_quantized(
    project: Project, made: Calibrated, tmp_path: Path
) -> None:
    for suffix in (".param", ".bin"):
        shutil.copy(made.table.with_suffix(suffix), tmp_path / f"mixed{suffix}")
    mixed = tmp_path / "mixed.table"
    mixed.write_text(read_table(made.table).without(["stem"]).text())
    int8 = read_network(quantize_model(project, mixed, Feedback()).files)
    prepared = read_network(made.prepared)
    assert (int8.weights["head"]["bias"] == prepared.weights["head"]["bias"]).all()


def test_an_unchanged_table_is_reused(project: Project, made: Calibrated) -> None:
    notes: list[str] = []
    calibrate_model(project, BEST, feedback=Feedback(note=notes.append))
    assert any("nothing changed, table reused" in note for note in notes)


def test_a_copy_of_a_table_without_its_network_is_refused_by_its_scales(
    project: Project, tmp_path: Path
) -> None:
    exported = read_network(calibrate_model(project, KL, feedback=Feedback()).fp32)
    shapes = blob_shapes(exported.param, {INPUT: (3, SIZE[1], SIZE[0])})
    graph = channel_graph(exported, shapes, (OUTPUT,))
    other = folded(exported, graph, far_factors(graph))
    names = [layer.name for layer in int8_layers(other)]
    copy = tmp_path / "copy.table"
    noise = np.random.default_rng(0).standard_normal((3, SIZE[1], SIZE[0])).astype(np.float32)
    copy.write_text(simple_table(other, noise, names).text())
    with pytest.raises(InputError, match=r"cuts weights to 1/\S+: the table was made for other"):
        quantize_model(project, copy, Feedback())
    findings = check_table_file(copy, project_model(project, copy, Feedback()))
    assert any("cuts weights" in finding.message for finding in findings)
