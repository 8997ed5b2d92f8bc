"""The selection step: the crops that calibrate, and the proof that they are not evaluation data."""

from dataclasses import replace
from pathlib import Path

from quantkit.data.coco import load_dataset
from quantkit.data.images import read_image
from quantkit.model.eligibility import refuse_int8
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.candidates import ProjectCandidates
from quantkit.project.config import Project, checked_name
from quantkit.project.covering import covers
from quantkit.project.image_journal import image_journal
from quantkit.project.selection_request import SelectionRequest
from quantkit.project.set_size import refuse_more_than_there_are, set_size
from quantkit.selection import select
from quantkit.selection.fingerprints import fingerprints
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
    request: SelectionRequest,
    *,
    name: str | None = None,
    threads: int = 2,
    feedback: Feedback,
    overwrite: bool = False,
) -> CalibrationSet:
    """Choose calibration crops and write their manifest.

    Args:
        project: The project.
        request: What to choose.
        name: Name of the set; by default it says how the set was chosen.
        threads: How many crops are run at a time, where the strategy looks at the network.
        feedback: Told how the images are read and the network is run.
        overwrite: Replace a manifest that has other content.

    Raises:
        InputError: The data cannot be used, an image of a chosen person cannot be decoded, or the
            set shares an image with the evaluation data; no manifest was written.
        BackendDied: ncnn died of the network.
    """
    if isinstance(project.source, NcnnFiles):
        refuse_int8(read_network(project.source))
    chosen = _chosen(project, request, name, threads, feedback)
    _refuse_what_is_no_image(project, chosen)
    refuse_evaluation_data(project, chosen, feedback)
    write_calibration_set(chosen, set_path(project, chosen.name), overwrite=overwrite)
    feedback.note(
        f"calibration set {chosen.name}: {len(chosen.entries)} of {chosen.candidates} persons"
    )
    return chosen


def choose_again(
    project: Project, chosen: CalibrationSet, feedback: Feedback, threads: int = 2
) -> CalibrationSet:
    """Make the choice of a set again, on the calibration data as it is now; nothing is written.

    Args:
        project: The project.
        chosen: The set.
        feedback: Told how it goes.
        threads: How many crops are run at a time, where the strategy looks at the network.

    Raises:
        InputError: The data cannot be used any more, or there is no such strategy.
    """
    return _chosen(project, SelectionRequest.of(chosen), chosen.name, threads, feedback)


def _chosen(
    project: Project,
    request: SelectionRequest,
    name: str | None,
    threads: int,
    feedback: Feedback,
) -> CalibrationSet:
    data = project.calibration
    pool = load_dataset(data.annotations, data.images, keypoints=False)
    refuse_more_than_there_are(pool, request.count)
    sized = request.sized(len(pool.persons))
    candidates = ProjectCandidates(project, pool, sized, feedback, threads)
    count = set_size(candidates, request.count)
    chosen = select(
        pool,
        request.strategy,
        count,
        request.seed,
        candidates=candidates.allowed(),
        refused=candidates.refused(),
        name=name or request.name(project.name, count),
        root=project.root,
        **candidates.origin(),
    )
    return replace(chosen, covers=covers(candidates, chosen))


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
    refuse_evaluation_data(project, chosen, feedback)
    return chosen


def judging_set(
    project: Project, asked: str | None, known: str | None, feedback: Feedback, threads: int = 2
) -> CalibrationSet:
    """Take the set whose crops judge a table: the one that is asked for, else the table's own.

    Args:
        project: The project.
        asked: Name of a set.
        known: Name of the set that the table was made from; None where that is not known, and
            the default random set takes its place.
        feedback: Told which set is taken instead.
        threads: Worker threads.

    Raises:
        InputError: The set is missing or wrong, or shares an image with the evaluation data.
    """
    name = asked or known
    if name is not None:
        return open_set(project, name, feedback)
    feedback.note(
        "which crops the table was calibrated on is unknown: the default random set of the"
        " calibration data judges its layers (--calib-set names another)"
    )
    return choose_set(project, SelectionRequest(), threads=threads, feedback=feedback)


def _refuse_what_is_no_image(project: Project, chosen: CalibrationSet) -> None:
    """Decode the images of a set, but for those that have been before.

    Strategies that look at no image choose what they cannot know to be none.
    """
    names = dict.fromkeys(entry.file_name for entry in chosen.entries)
    files = [project.calibration.images / name for name in names]
    for path, one in zip(files, fingerprints(files, image_journal(project)), strict=True):
        if one.thumbnail is None:
            read_image(path)


def refuse_evaluation_data(project: Project, chosen: CalibrationSet, feedback: Feedback) -> None:
    """Refuse a set that shares an image with the project's evaluation data.

    Args:
        project: The project.
        chosen: The set.
        feedback: Told how the images are read.

    Raises:
        InputError: It does; the images are named.
    """
    val = load_dataset(project.val.annotations, project.val.images, keypoints=False)
    refuse_overlap(
        chosen,
        val,
        images=project.calibration.images,
        journal=image_journal(project),
        progress=feedback.progress,
    )
