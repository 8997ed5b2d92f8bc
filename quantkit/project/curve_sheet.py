"""The contact sheet of a curve: the crops that alone set the largest value of layers."""

from pathlib import Path

from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.sheet_persons import crop_name, persons_named
from quantkit.report.contact_sheet import Group, Tile, draw_contact_sheet
from quantkit.report.curve import outlier_reason
from quantkit.report.pictures import OUTLIERS
from quantkit.stability.report import CurveReport
from quantkit.storage import from_here, write_atomically


def outliers_path(project: Project) -> Path:
    """Say where the picture lies: in `work_dirs/`, it shows people's photos."""
    return project.work_dir / OUTLIERS


def write_outlier_sheet(project: Project, report: CurveReport, feedback: Feedback) -> Path | None:
    """Draw the outliers of a curve, as the network sees them.

    Args:
        project: The project.
        report: Its curve.
        feedback: Told how the crops are drawn, and where the picture lies.

    Returns:
        The PNG file, `work_dirs/MODEL/curve_outliers.png`; None where there are no outliers, and
        then there is none of an earlier curve either.

    Raises:
        InputError: An image is missing or broken, an outlier is not in the annotations, or the
            file cannot be written.
    """
    path = outliers_path(project)
    if not report.outliers:
        path.unlink(missing_ok=True)
        return None
    group = Group("crops that alone set the largest value of layers", _tiles(project, report))
    title = f"outliers of {report.model}"
    write_atomically(path, draw_contact_sheet([group], title, project.input, feedback.progress))
    feedback.note(f"outliers of the curve: {from_here(path)}")
    return path


def _tiles(project: Project, report: CurveReport) -> tuple[Tile, ...]:
    named = [(one["annotation_id"], one["file_name"]) for one in report.outliers]
    persons = persons_named(project, named, "which the curve names; measure it again")
    return tuple(
        Tile(person, f"{crop_name(person)}: {outlier_reason(one)}")
        for person, one in zip(persons, report.outliers, strict=True)
    )
