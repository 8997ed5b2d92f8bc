"""Persons on contact sheets: what they are called, and where a file names them, who they are."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from quantkit.data.coco import Person, load_dataset
from quantkit.errors import InputError
from quantkit.project.config import Project


def crop_name(person: Person) -> str:
    """Name the crop of a person in few letters."""
    return f"#{person.annotation_id} {PurePosixPath(person.file_name).name}"


def persons_named(
    project: Project, named: Iterable[tuple[int, str]], because: str
) -> tuple[Person, ...]:
    """Find persons of the calibration data again.

    Args:
        project: The project.
        named: Annotation id and file name of each.
        because: Who names them and what makes that anew, for the error message.

    Raises:
        InputError: One is not in the annotations.
    """
    data = project.calibration
    pool = load_dataset(data.annotations, data.images, keypoints=False)
    persons = {(one.annotation_id, one.file_name): one for one in pool.persons}
    found = []
    for annotation_id, file_name in named:
        person = persons.get((annotation_id, file_name))
        if person is None:
            message = f"holds no annotation {annotation_id} on '{file_name}', {because}"
            raise InputError(message, path=data.annotations)
        found.append(person)
    return tuple(found)
