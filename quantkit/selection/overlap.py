"""A calibration set must share no image with the data that judges the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.progress import Progress, silent
from quantkit.selection.fingerprints import Fingerprint, fingerprints, kept_thumbnail
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.near_duplicates import near_duplicates

Reason = Literal["same id", "same content", "near-duplicate"]

_SHOWN = 3


@dataclass(frozen=True)
class SharedImage:
    """An image of a calibration set that is evaluated on, too.

    Attributes:
        file_name: The image in the calibration set.
        evaluation_file_name: The image in the evaluation data.
        reason: What shows that they are the same; the first that holds.
    """

    file_name: str
    evaluation_file_name: str
    reason: Reason

    def __str__(self) -> str:
        """Name both images and the reason."""
        how = {"same id": "the id", "same content": "the content"}.get(self.reason)
        what = f"has {how} of" if how else "is a near-duplicate of"
        return f"{self.file_name} {what} {self.evaluation_file_name}"


def overlap(
    chosen: CalibrationSet,
    evaluation: PoseDataset,
    *,
    images: Path | None = None,
    journal: Journal | None = None,
    progress: Progress = silent,
) -> tuple[SharedImage, ...]:
    """Find the images of a calibration set that are evaluation images too.

    Two images are the same when their ids are, when their files hold the same bytes, whatever
    their names, or when they show the same picture (`quantkit.selection.near_duplicates`). Images
    of the evaluation data without a person are compared by id alone, and files that are no images
    by their bytes alone. An image of the set that is missing is left to `resolve` to name.

    Args:
        chosen: The set.
        evaluation: The data that is evaluated on.
        images: Folder of the set's images; without it near-duplicates are not looked for.
        journal: Keeps what the images look like, so that each is decoded once and not every time.
        progress: Called after every evaluation image that was read, stage "overlap".

    Returns:
        One for each image that is shared, in the order of the set.

    Raises:
        InputError: An image cannot be read.
    """
    names = {person.image: person.file_name for person in evaluation.persons}
    theirs = dict(
        zip(
            names.values(),
            fingerprints(tuple(names), journal, lambda done: progress("overlap", done, len(names))),
            strict=True,
        )
    )
    ids = {number: f"image {number}" for number in evaluation.image_ids}
    ids |= {person.image_id: person.file_name for person in evaluation.persons}
    alike = {} if images is None else _alike(chosen, images, theirs, journal)
    return _shared(chosen, ids, {one.sha256: name for name, one in theirs.items()}, alike)


def refuse_overlap(
    chosen: CalibrationSet,
    evaluation: PoseDataset,
    *,
    images: Path | None = None,
    journal: Journal | None = None,
    progress: Progress = silent,
) -> None:
    """Refuse a calibration set that shares an image with the evaluation data.

    Args:
        chosen: The set.
        evaluation: The data that is evaluated on.
        images: As for `overlap`.
        journal: As for `overlap`.
        progress: As for `overlap`.

    Raises:
        InputError: It does; the images are named. Or an image cannot be read.
    """
    shared = overlap(chosen, evaluation, images=images, journal=journal, progress=progress)
    if shared:
        more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
        message = (
            f"calibration set '{chosen.name}' shares {len(shared)} images with the evaluation data"
            f" {evaluation.annotations.name}:"
            f" {', '.join(str(one) for one in shared[:_SHOWN])}{more}; calibrate on other images"
        )
        raise InputError(message)


def _shared(
    chosen: CalibrationSet,
    ids: Mapping[int, str],
    contents: Mapping[str, str],
    alike: Mapping[str, str],
) -> tuple[SharedImage, ...]:
    found: dict[str, SharedImage] = {}
    for entry in chosen.entries:
        candidates: tuple[tuple[str | None, Reason], ...] = (
            (ids.get(entry.image_id), "same id"),
            (contents.get(entry.sha256), "same content"),
            (alike.get(entry.file_name), "near-duplicate"),
        )
        for theirs, reason in candidates:
            if theirs is not None:
                found.setdefault(entry.file_name, SharedImage(entry.file_name, theirs, reason))
    return tuple(found.values())


def _alike(
    chosen: CalibrationSet,
    images: Path,
    theirs: Mapping[str, Fingerprint],
    journal: Journal | None,
) -> dict[str, str]:
    """The near-duplicate of an image of the set, by file name."""
    ours = _own_fingerprints(chosen, images, journal)
    first = [(name, one.thumbnail) for name, one in ours.items() if one.thumbnail is not None]
    second = [(name, one.thumbnail) for name, one in theirs.items() if one.thumbnail is not None]
    pairs = near_duplicates([one for _, one in first], [one for _, one in second])
    found: dict[str, str] = {}
    for one, other in pairs:
        found.setdefault(first[one][0], second[other][0])
    return found


def _own_fingerprints(
    chosen: CalibrationSet, images: Path, journal: Journal | None
) -> dict[str, Fingerprint]:
    hashes = {entry.file_name: entry.sha256 for entry in chosen.entries}
    kept = {
        name: Fingerprint(sha256, found)
        for name, sha256 in hashes.items()
        if (found := kept_thumbnail(sha256, journal)) is not None
    }
    due = [name for name in hashes if name not in kept and (images / name).is_file()]
    read = fingerprints([images / name for name in due], journal)
    return kept | dict(zip(due, read, strict=True))
