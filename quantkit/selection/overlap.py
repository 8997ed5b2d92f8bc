"""A calibration set must share no image with the data that judges the result."""

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError
from quantkit.progress import Progress, silent
from quantkit.selection.manifest import CalibrationSet
from quantkit.storage import sha256_file

_SHOWN = 3


def overlap(
    chosen: CalibrationSet, evaluation: PoseDataset, progress: Progress = silent
) -> tuple[str, ...]:
    """Find the images of a calibration set that are evaluation images too.

    Two images are the same when their ids are, or when their files hold the same bytes, whatever
    their names. Images of the evaluation data without a person are compared by id alone.

    Args:
        chosen: The set.
        evaluation: The data that is evaluated on.
        progress: Called after every evaluation image that was read, stage "overlap".

    Returns:
        File names of the calibration set, in its order.

    Raises:
        InputError: An evaluation image cannot be read.
    """
    ids = {person.image_id for person in evaluation.persons} | set(evaluation.image_ids)
    files = list(dict.fromkeys(person.image for person in evaluation.persons))
    hashes = set()
    for done, path in enumerate(files, start=1):
        hashes.add(sha256_file(path))
        progress("overlap", done, len(files))
    shared = (e.file_name for e in chosen.entries if e.image_id in ids or e.sha256 in hashes)
    return tuple(dict.fromkeys(shared))


def refuse_overlap(
    chosen: CalibrationSet, evaluation: PoseDataset, progress: Progress = silent
) -> None:
    """Refuse a calibration set that shares an image with the evaluation data.

    Raises:
        InputError: It does; the images are named. Or an evaluation image cannot be read.
    """
    shared = overlap(chosen, evaluation, progress)
    if shared:
        more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
        message = (
            f"calibration set '{chosen.name}' shares {len(shared)} images with the evaluation data"
            f" {evaluation.annotations.name} (same id or same content):"
            f" {', '.join(shared[:_SHOWN])}{more}; calibrate on other images"
        )
        raise InputError(message)
