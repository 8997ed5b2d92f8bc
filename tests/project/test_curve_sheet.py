import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantkit.data.coco import load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project
from quantkit.project.curve_sheet import outliers_path, write_outlier_sheet
from quantkit.report.contact_sheet import Group, Tile, draw_contact_sheet
from quantkit.stability.report import CurveReport
from tests.projects import small_project
from tests.stability import made_up

FOUND: list[Mapping[str, Any]] = [
    {"annotation_id": 31, "file_name": "000003.png", "layers": ["stem", "neck"], "factor": 3.06},
    {"annotation_id": 10, "file_name": "000001.png", "layers": ["a", "b", "c", "d"], "factor": 1.5},
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


@pytest.fixture
def report() -> CurveReport:
    return made_up.report(outliers=FOUND)


def test_outliers_are_drawn_in_the_order_of_the_report_each_with_its_reason(
    project: Project, report: CurveReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    notes: list[str] = []
    path = write_outlier_sheet(project, report, Feedback(note=notes.append))
    assert path == project.root / "work_dirs" / "small" / "curve_outliers.png"
    assert notes == [f"outliers of the curve: {path}"]
    data = project.calibration
    pool = load_dataset(data.annotations, data.images, keypoints=False).persons
    persons = {one.annotation_id: one for one in pool}
    tiles = (
        Tile(persons[31], "#31 000003.png: 3.1 times the rest in stem, neck"),
        Tile(persons[10], "#10 000001.png: 1.5 times the rest in a, b, c and 1 more"),
    )
    group = Group("crops that alone set the largest value of layers", tiles)
    assert path.read_bytes() == draw_contact_sheet([group], "outliers of net", project.input)


def test_a_curve_without_outliers_leaves_no_picture_of_an_earlier_one(
    project: Project, report: CurveReport
) -> None:
    write_outlier_sheet(project, report, Feedback())
    assert outliers_path(project).is_file()
    notes: list[str] = []
    none = replace(report, outliers=())
    for _ in range(2):
        assert write_outlier_sheet(project, none, Feedback(note=notes.append)) is None
        assert not outliers_path(project).exists()
    assert notes == []


def test_an_outlier_who_is_gone_is_named(project: Project) -> None:
    gone = made_up.report(outliers=[{**FOUND[0], "file_name": "000001.png"}])
    said = r"train\.json: holds no annotation 31 on '000001\.png', which the curve names; measure"
    with pytest.raises(InputError, match=said):
        write_outlier_sheet(project, gone, Feedback())
    assert not outliers_path(project).exists()
