"""The persons that a search looks at, and those that confirm what it found."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from quantkit.data.coco import Person, load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import BackendDied, InputError
from quantkit.evaluation.agreement import agreement, keypoint_distances, mean_and_p95, mean_oks
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.progress import Feedback
from quantkit.project.calibrating import ready_table
from quantkit.project.config import Project
from quantkit.project.measuring import Job, Measured, data_key, evaluation_data, measure
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.resolve import resolve
from quantkit.sensitivity.search_report import Confirmation
from quantkit.sensitivity.sweep import Shown

_MOST = 256
_FEWEST_LABELLED = 8
"""With fewer labelled persons an AP says nothing, and fp32's keypoints are better labels."""


def judging(
    project: Project, chosen: CalibrationSet, feedback: Feedback
) -> tuple[tuple[Shown, ...], Path | None]:
    """Take the labelled persons of the training data, else those of the calibration set.

    Args:
        project: The project.
        chosen: The set.
        feedback: Told who judges.

    Returns:
        The persons, and the file that labels them; None where fp32's keypoints have to do.

    Raises:
        InputError: The data cannot be used.
    """
    paths = project.calibration
    persons: tuple[Person, ...] = ()
    labels: Path | None = paths.annotations
    if project.head.has_sigmas:
        with suppress(InputError):
            persons = load_dataset(paths.annotations, paths.images, keypoints=True).persons
    if len(persons) < _FEWEST_LABELLED:
        labels = None
        known = load_dataset(paths.annotations, paths.images, keypoints=False).persons
        areas = {one.annotation_id: one.area for one in known}
        persons = tuple(
            replace(one, area=areas.get(one.annotation_id, one.area))
            for one in resolve(chosen, paths.images)
        )
        if project.head.has_sigmas:
            feedback.note("search: no labelled training data; the keypoints of fp32 are the labels")
    persons = persons[:: -(-len(persons) // _MOST)]
    return tuple(map(Shown, persons, crops(persons, project.input))), labels


def confirmed(project: Project, table: str, threads: int, feedback: Feedback) -> Confirmation:
    """Look at a table once on the evaluation data, against the fp32 network.

    Args:
        project: The project.
        table: Name of the table.
        threads: Threads of each backend.
        feedback: Told how it goes.

    Raises:
        InputError: The data cannot be used.
        BackendDied: A network could not be run to the end.
    """
    ready = ready_table(project, table, threads=threads, feedback=feedback)
    labels = project.head.has_sigmas
    try:
        val = evaluation_data(project, labels=labels)
    except InputError:
        labels = False
        val = evaluation_data(project, labels=labels)
    job = Job(project, val, val, data_key(project, val), labels, threads, feedback)
    before = _measured(measure(job, "ncnn", ready.fp32, timed=False))
    after = _measured(measure(job, "ncnn-int8", ready.int8, timed=False))
    assert before.predictions is not None
    assert after.predictions is not None
    oks = None
    if project.head.has_sigmas:
        oks = mean_oks(agreement(after.predictions, before.predictions, val))
    mean, most = mean_and_p95(
        keypoint_distances(after.predictions, before.predictions, project.input.size)
    )
    drop, interval = None, None
    if before.matches is not None and after.matches is not None:
        assert before.row.ap is not None
        assert after.row.ap is not None
        drop = before.row.ap - after.row.ap
        interval = drop_interval(before.matches, after.matches)
    return Confirmation(
        dataset=val.annotations.name,
        instances=len(val.persons),
        ap=before.row.ap,
        ap_drop=drop,
        ap_drop_ci=interval,
        oks_vs_fp32=oks,
        keypoint_distance_mean=mean,
        keypoint_distance_p95=most,
    )


def _measured(one: Measured) -> Measured:
    if one.predictions is None:
        message = f"{one.row.backend} could not be run: {one.row.reason}"
        raise BackendDied(message)
    return one
