"""The selection step: the crops that calibrate, and the proof that they are not evaluation data."""

from pathlib import Path

from quantkit.data.coco import load_dataset
from quantkit.progress import Feedback
from quantkit.project.config import Project, checked_name
from quantkit.project.image_journal import image_journal
from quantkit.selection import DEFAULT_COUNT, select
from quantkit.selection.manifest import (
    CalibrationSet,
    read_calibration_set,
    write_calibration_set,
)
from quantkit.selection.overlap import refuse_overlap


def set_path(project: Project, name: str) -> Path:
    """Say where the manifest of a set lies.

    Raises:
        InputError: The name leads to another folder.
    """
    return project.calib_sets_dir / f"{checked_name(name)}.json"


def choose_set(
    project: Project,
    *,
    method: str,
    count: int | None,
    seed: int,
    name: str | None,
    feedback: Feedback,
    overwrite: bool = False,
) -> CalibrationSet:
    """Choose calibration crops and write their manifest.

    Args:
        project: The project.
        method: A strategy of `quantkit.selection`.
        count: How many crops; by default 128, or all where there are fewer.
        seed: Seed of the choice.
        name: Name of the set; by default it says how the set was chosen.
        feedback: Told how the images are read.
        overwrite: Replace a manifest that has other content.

    Raises:
        InputError: The data cannot be used, or the set shares an image with the evaluation data.
    """
    pool = load_dataset(
        project.calibration.annotations, project.calibration.images, keypoints=False
    )
    count = count or min(DEFAULT_COUNT, len(pool.persons))
    name = name or f"{project.name}-{method}-{count}-seed{seed}"
    chosen = select(pool, method=method, count=count, seed=seed, name=name, root=project.root)
    _refuse_evaluation_data(project, chosen, feedback)
    write_calibration_set(chosen, set_path(project, name), overwrite=overwrite)
    feedback.note(f"calibration set {name}: {len(chosen.entries)} of {len(pool.persons)} persons")
    return chosen


def choose_again(project: Project, chosen: CalibrationSet, feedback: Feedback) -> CalibrationSet:
    """Make the choice of a set again, on the calibration data as it is now; nothing is written.

    Args:
        project: The project.
        chosen: The set.
        feedback: Told how it goes.

    Raises:
        InputError: The data cannot be used any more, or there is no such strategy.
    """
    data = project.calibration
    return select(
        load_dataset(data.annotations, data.images, keypoints=False),
        method=chosen.strategy,
        count=chosen.count,
        seed=chosen.seed,
        name=chosen.name,
        root=project.root,
    )


def open_set(project: Project, name: str, feedback: Feedback) -> CalibrationSet:
    """Read a manifest of the project.

    Args:
        project: The project.
        name: Name of the set.
        feedback: Told how the evaluation images are read.

    Raises:
        InputError: It is missing or wrong, or shares an image with the evaluation data.
    """
    chosen = read_calibration_set(set_path(project, name))
    _refuse_evaluation_data(project, chosen, feedback)
    return chosen


def _refuse_evaluation_data(project: Project, chosen: CalibrationSet, feedback: Feedback) -> None:
    val = load_dataset(project.val.annotations, project.val.images, keypoints=False)
    refuse_overlap(
        chosen,
        val,
        images=project.calibration.images,
        journal=image_journal(project),
        progress=feedback.progress,
    )
