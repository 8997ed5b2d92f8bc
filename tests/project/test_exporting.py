from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.backends import export_chain
from quantkit.backends.export_key import export_key
from quantkit.backends.export_report import ExportReport, write_report
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
from quantkit.model.network import read_network
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.project import Project
from quantkit.project.exporting import SAMPLE_CROPS, network_at_hand
from quantkit.storage import sha256_file
from tests.nets import INPUT, OUTPUT
from tests.projects import small_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


@pytest.fixture
def exported(project: Project) -> tuple[Project, str]:
    """A project whose model is an ONNX file, as if it had been exported, and the network's hash."""
    pair, folder = project.source, project.work_dir
    assert isinstance(pair, NcnnFiles)
    folder.mkdir(parents=True)
    param = pair.param.rename(folder / "model.param")
    weights = pair.bin.rename(folder / "model.bin")
    files = NcnnFiles(param, weights, INPUT, (OUTPUT,))
    path = project.root / "net.onnx"
    path.write_bytes(b"")
    project = replace(project, source=OnnxFile(path, INPUT, (OUTPUT,)))
    data = project.calibration
    persons = load_dataset(data.annotations, data.images, keypoints=False).persons
    samples = [crop.tensor for crop in crops(persons[:SAMPLE_CROPS], project.input)]
    hashes = {one.name: sha256_file(one) for one in (param, weights)}
    key = export_key(project.source, samples)
    write_report(ExportReport((), None, files, hashes, key), folder)
    return project, read_network(files).sha256


def test_a_network_that_needs_no_export_is_always_at_hand(project: Project) -> None:
    assert isinstance(project.source, NcnnFiles)
    assert network_at_hand(project) == read_network(project.source).sha256
    project.source.bin.write_bytes(b"")
    assert network_at_hand(project) is None


def test_an_exported_network_is_found_without_an_export(
    exported: tuple[Project, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, sha256 = exported
    monkeypatch.delattr(export_chain, "_Chain")
    assert network_at_hand(project) == sha256


def test_what_was_exported_from_something_else_is_not_at_hand(
    exported: tuple[Project, str],
) -> None:
    project, _ = exported
    assert isinstance(project.source, OnnxFile)
    assert network_at_hand(replace(project, name="another")) is None
    project.source.path.write_bytes(b"changed")
    assert network_at_hand(project) is None
    absent = MMPoseSource(str(project.root / "absent.py"), None)
    assert network_at_hand(replace(project, source=absent)) is None
