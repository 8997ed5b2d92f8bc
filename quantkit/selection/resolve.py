"""From a manifest back to persons, each image proven to be the one that was selected."""

from pathlib import Path

from quantkit.data.coco import Person
from quantkit.errors import InputError
from quantkit.selection.manifest import CalibrationSet, Entry
from quantkit.storage import sha256_file


def resolve(chosen: CalibrationSet, images: Path) -> tuple[Person, ...]:
    """Find the persons of a calibration set in a folder of images.

    Args:
        chosen: The set.
        images: Folder that its file names are relative to.

    Returns:
        In the order of the set. Their area is that of the box.

    Raises:
        InputError: An image is missing, lies outside the folder, or is not the one that was
            selected.
    """
    paths = {entry.file_name: checked_image(entry, images) for entry in chosen.entries}
    return tuple(_person(entry, paths[entry.file_name]) for entry in chosen.entries)


def checked_image(entry: Entry, images: Path) -> Path:
    """Find the image of one entry.

    Raises:
        InputError: As for `resolve`.
    """
    path = images / entry.file_name
    if not path.resolve().is_relative_to(images.resolve()):
        message = f"lies outside the images folder {images}; the manifest may name none there"
        raise InputError(message, path=path)
    if sha256_file(path) != entry.sha256:
        message = (
            "is not the image that was selected (its sha256 differs); restore it, or select again"
        )
        raise InputError(message, path=path)
    return path.absolute()


def _person(entry: Entry, image: Path) -> Person:
    left, top, right, bottom = entry.box
    return Person(
        annotation_id=entry.annotation_id,
        image_id=entry.image_id,
        image=image,
        file_name=entry.file_name,
        box=entry.box,
        area=(right - left) * (bottom - top),
    )
