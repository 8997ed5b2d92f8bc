"""The contact sheet of a calibration set: its crops and its refused outliers as a picture."""

from pathlib import Path

from quantkit.data.coco import Person
from quantkit.progress import Feedback
from quantkit.project.config import Project, checked_name
from quantkit.project.sheet_persons import crop_name, persons_named
from quantkit.report.contact_sheet import Group, Tile, draw_contact_sheet
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.resolve import resolve
from quantkit.storage import from_here, write_atomically


def sheet_path(project: Project, name: str) -> Path:
    """Say where the picture of a set lies: not beside its manifest, it shows people's photos.

    Raises:
        InputError: The name leads to another folder.
    """
    return project.work_dir / "calib_sets" / f"{checked_name(name)}.png"


def write_sheet(project: Project, chosen: CalibrationSet, feedback: Feedback) -> Path:
    """Draw the chosen crops and the refused ones, as the network sees them.

    Args:
        project: The project.
        chosen: One of its sets.
        feedback: Told how the crops are drawn, and where the picture lies.

    Returns:
        The PNG file, `work_dirs/MODEL/calib_sets/NAME.png`; an older one is replaced.

    Raises:
        InputError: An image is missing or is not the one that was selected, or a refused person
            is not in the annotations.
    """
    path = sheet_path(project, chosen.name)
    groups = (
        Group("chosen", _chosen_tiles(project, chosen)),
        Group("refused outliers", _refused_tiles(project, chosen)),
    )
    title = f"calibration set {chosen.name}"
    write_atomically(path, draw_contact_sheet(groups, title, project.input, feedback.progress))
    feedback.note(f"contact sheet: {from_here(path)}")
    return path


def _chosen_tiles(project: Project, chosen: CalibrationSet) -> tuple[Tile, ...]:
    persons = resolve(chosen, project.calibration.images)
    return tuple(Tile(person, f"{crop_name(person)} {_extent(person)}") for person in persons)


def _refused_tiles(project: Project, chosen: CalibrationSet) -> tuple[Tile, ...]:
    if not chosen.refused:
        return ()
    named = [(one.annotation_id, one.file_name) for one in chosen.refused]
    because = f"which the set {chosen.name} refused; select the set again"
    return tuple(
        Tile(person, f"{crop_name(person)}: {refused.reason}", mark=True)
        for person, refused in zip(
            persons_named(project, named, because), chosen.refused, strict=True
        )
    )


def _extent(person: Person) -> str:
    left, top, right, bottom = person.box
    return f"{right - left:.0f}x{bottom - top:.0f}px"
