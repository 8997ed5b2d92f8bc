"""What the report takes over from elsewhere, on a small project of which a curve was measured."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.progress import Feedback
from quantkit.project import Project, reporting
from quantkit.project.curve_sheet import outliers_path
from quantkit.project.exporting import network_at_hand
from quantkit.project.reporting import write_report
from quantkit.storage import write_atomically
from tests.projects import small_project
from tests.stability import made_up

OUTLIER = {"annotation_id": 10, "file_name": "000001.png", "layers": ["stem"], "factor": 2.0}
CROPS = b"drawn crops"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(reporting, "draw_pictures", lambda contents: {})
    return small_project(tmp_path / "project")


def reported(project: Project, *, outliers: bool, drawn: bool) -> tuple[str, list[str]]:
    """Write a report; give the page and the names of its pictures."""
    curve = made_up.report(outliers=[OUTLIER] if outliers else [])
    curve = replace(curve, model_sha256=network_at_hand(project) or "")
    write_atomically(project.work_dir / "curve.json", curve.text())
    if drawn:
        outliers_path(project).write_bytes(CROPS)
    path = write_report(project, feedback=Feedback())
    return path.read_text(), [one.name for one in path.with_suffix("").glob("*")]


def test_the_outliers_of_a_curve_are_shown_as_they_were_drawn_and_only_they(
    project: Project,
) -> None:
    inlined = base64.b64encode(CROPS).decode()
    page, pictures = reported(project, outliers=True, drawn=False)
    assert (inlined in page, pictures) == (False, [])
    page, pictures = reported(project, outliers=True, drawn=True)
    assert (inlined in page, pictures) == (True, ["curve_outliers.png"])
    page, pictures = reported(project, outliers=False, drawn=True)
    assert (inlined in page, pictures) == (False, [])
