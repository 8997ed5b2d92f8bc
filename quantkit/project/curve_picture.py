"""The picture of a curve, beside its figures."""

from pathlib import Path

from quantkit.errors import Unavailable
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.report.plots.curve import draw_curve
from quantkit.stability.report import CurveReport
from quantkit.storage import from_here, write_atomically


def write_curve_picture(project: Project, report: CurveReport, feedback: Feedback) -> Path | None:
    """Draw a curve where matplotlib is installed; the figures are worth having without it.

    Args:
        project: The project.
        report: Its curve.
        feedback: Told where the picture lies, or what it needs.

    Returns:
        The PNG file, `work_dirs/MODEL/curve.png`; None where it cannot be drawn, and then there is
        none of an earlier curve either.

    Raises:
        InputError: The file cannot be written.
    """
    path = project.work_dir / "curve.png"
    try:
        png = draw_curve(report)
    except Unavailable as error:
        path.unlink(missing_ok=True)
        feedback.note(f"without {path.name}: {error}")
        return None
    write_atomically(path, png)
    feedback.note(f"picture of the curve: {from_here(path)}")
    return path
