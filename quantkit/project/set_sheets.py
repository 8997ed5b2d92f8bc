"""The contact sheet of a calibration set: its crops and its refused outliers as a picture."""

from pathlib import Path, PurePosixPath

from quantkit.data.coco import Person, load_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project.config import Project, checked_name
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
    return tuple(Tile(person, f"{_name(person)} {_extent(person)}") for person in persons)


def _refused_tiles(project: Project, chosen: CalibrationSet) -> tuple[Tile, ...]:
    if not chosen.refused:
        return ()
    data = project.calibration
    pool = load_dataset(data.annotations, data.images, keypoints=False)
    persons = {person.annotation_id: person for person in pool.persons}
    tiles = []
    for refused in chosen.refused:
        person = persons.get(refused.annotation_id)
        if person is None or person.file_name != refused.file_name:
            message = (
                f"holds no annotation {refused.annotation_id} on '{refused.file_name}', which the"
                f" set {chosen.name} refused; select the set again"
            )
            raise InputError(message, path=data.annotations)
        tiles.append(Tile(person, f"{_name(person)}: {refused.reason}", mark=True))
    return tuple(tiles)


def _name(person: Person) -> str:
    return f"#{person.annotation_id} {PurePosixPath(person.file_name).name}"


def _extent(person: Person) -> str:
    left, top, right, bottom = person.box
    return f"{right - left:.0f}x{bottom - top:.0f}px"
