"""The evaluation step: every backend on the same crops, and what each loses."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from quantkit.backends import BACKENDS, BackendName
from quantkit.backends.artifact import Artifact
from quantkit.backends.names import precision
from quantkit.data.coco import PoseDataset
from quantkit.data.coco_file import KEYPOINTS
from quantkit.errors import InputError, Unavailable
from quantkit.evaluation.agreement import (
    agreement,
    by_keypoint,
    keypoint_distances,
    mean_and_p95,
    mean_oks,
)
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.comparison import Comparison, Row, Until
from quantkit.evaluation.until import growing_parts, is_within
from quantkit.progress import Feedback
from quantkit.project.artifacts import backend_artifacts, other_networks
from quantkit.project.config import Project
from quantkit.project.measuring import Job, Measured, data_key, evaluation_data, measure
from quantkit.project.table_location import find_table, table_label
from quantkit.project.table_origin import table_origin
from quantkit.report.evaluation_files import write_evaluation
from quantkit.report.predictions import draw_predictions
from quantkit.storage import sha256_file, write_atomically

_VERSIONED = ("quantkit", "numpy", "torch", "onnxruntime", "openvino", "tensorrt", "ncnn")
_DRAWN = 8

_Work = tuple[BackendName, Artifact | str, str | None]


def evaluate_backends(
    project: Project,
    *,
    backends: Sequence[str] | None = None,
    baseline: str | None = None,
    table: str | Path = "best",
    labels: bool = True,
    until: float | None = None,
    also: Sequence[Path] = (),
    threads: int = 2,
    feedback: Feedback,
) -> Comparison:
    """Measure COCO AP on backends, and the drop of each against the baseline.

    A backend that cannot run, dies or computes nonsense becomes a row that says why; the others go
    on. Predictions of an unchanged network on unchanged data are reused, and a stopped run goes on
    after the persons that it has finished.

    Args:
        project: The project.
        backends: Names of backends; all of them by default.
        baseline: The backend to measure drops against; by default the first that runs.
        table: The calibration table of the int8 model: the name of one of the project, or a path.
        labels: False where there are boxes and no keypoints: the keypoints are compared with the
            baseline's alone, of any number of them.
        until: Stop as soon as it is known of every backend whether its drop is within this bound;
            images are looked at in a seeded order.
        also: ONNX files of other tools, each a row of ONNX Runtime of its own: an int8 network in
            QDQ form beside the project's.
        threads: Threads of each backend.
        feedback: Told how it goes.

    Raises:
        InputError: A name is unknown, or the data or the model cannot be used.
    """
    if labels and not project.head.has_sigmas:
        message = (
            f"eval against labels knows COCO's {KEYPOINTS} keypoints, this network has"
            f" {project.head.keypoints_text}: use --no-labels"
        )
        raise InputError(message)
    names = _known(backends or BACKENDS)
    if baseline is not None:
        names = _known(dict.fromkeys((baseline, *names)))
    if until is not None and not labels:
        message = "a drop of AP cannot be bounded without labels"
        raise InputError(message)
    others = other_networks(project, also)
    val = evaluation_data(project, labels=labels)
    artifacts = backend_artifacts(project, names, table, threads, feedback)
    job = Job(project, val, val, data_key(project, val), labels, threads, feedback)
    work: list[_Work] = [(name, artifacts[name], None) for name in names]
    work += [("onnxruntime", file, label) for label, file in others.items()]
    if until is not None:
        job = replace(job, part=_decisive_part(job, work, baseline, until))
    measured = [measure(job, *one, timed=True) for one in work]
    comparison = _compare(job, measured, baseline, until)
    if any(precision(name) == "int8" for name in names):
        comparison = _with_table(project, table, comparison)
    folder = project.work_dir / "eval"
    write_evaluation(folder, comparison)
    write_atomically(folder / "predictions.png", _picture(job, measured, comparison.baseline))
    return comparison


def _with_table(project: Project, table: str | Path, comparison: Comparison) -> Comparison:
    path = find_table(project, table)
    comparison = replace(comparison, table=table_label(project, path))
    if not path.is_file():
        # Nothing that reads it could be made.
        return comparison
    note = table_origin(path).note
    return replace(comparison, table_sha256=sha256_file(path), table_note=note)


def _known(names: Iterable[str]) -> list[BackendName]:
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        raise InputError(f"there is no backend '{unknown[0]}'; there are {', '.join(BACKENDS)}")
    return [cast("BackendName", name) for name in names]


def _decisive_part(
    job: Job,
    work: Sequence[_Work],
    baseline: str | None,
    bound: float,
) -> PoseDataset:
    """Show growing parts of the data until every drop is known to be within a bound or over it."""
    parts = growing_parts(job.val)
    for part in parts[:-1]:
        looked = replace(job, part=part)
        measured = [measure(looked, *one, timed=False) for one in work]
        base = _reference(measured, baseline)
        ran = [one for one in measured if one.matches is not None]
        if all(_within(looked, one, base, (bound, len(parts))) is not None for one in ran):
            return part
    return job.val


def _reference(measured: Sequence[Measured], baseline: str | None) -> Measured:
    """Find what drops are measured against; where nothing ran, the first that did not."""
    if baseline is None:
        return next((one for one in measured if one.predictions is not None), measured[0])
    found = next(one for one in measured if one.row.backend == baseline)
    if found.predictions is None:
        raise Unavailable(f"baseline '{baseline}' did not run: {found.row.reason}")
    return found


def _compare(
    job: Job, measured: Sequence[Measured], baseline: str | None, until: float | None
) -> Comparison:
    reference = _reference(measured, baseline)
    rows = [_against(job, one, reference) for one in measured]
    decided = None
    if until is not None:
        decided = Until(until, len(job.part.image_ids), len(job.val.image_ids))
        looks = len(growing_parts(job.val))
        rows = [
            replace(row, within=_within(job, one, reference, (until, looks)))
            for row, one in zip(rows, measured, strict=True)
        ]
    return Comparison(
        model=job.project.name,
        input_size=job.project.input.size,
        dataset=job.project.val.annotations.name,
        instances=len(job.part.persons),
        boxes="gt" if job.part.boxes is None else job.part.boxes.name,
        nms=job.project.val.nms,
        baseline=None if reference.predictions is None else reference.row.backend,
        table=None,
        versions={name: found for name in _VERSIONED if (found := _version(name)) is not None},
        rows=tuple(rows),
        until=decided,
        flip_test=job.project.head.flip_test,
        score_mode=job.project.val.score_mode,
        keypoint_threshold=job.project.val.keypoint_threshold,
    )


def _within(
    job: Job, one: Measured, reference: Measured, question: tuple[float, int]
) -> bool | None:
    """Answer whether a drop is within a bound, a question that is asked several times."""
    if one.matches is None or reference.matches is None:
        return None
    if one is reference:
        return True
    bound, looks = question
    last = job.part is job.val
    return is_within(reference.matches, one.matches, bound, looks=looks, last=last)


def _against(job: Job, one: Measured, reference: Measured) -> Row:
    if one.predictions is None or reference.predictions is None:
        return one.row
    distances = keypoint_distances(one.predictions, reference.predictions, job.project.input.size)
    mean, most = mean_and_p95(distances)
    row = replace(
        one.row,
        sqnr_db=_sqnr(one, reference),
        keypoint_distance_mean=mean,
        keypoint_distance_p95=most,
        keypoint_distance=by_keypoint(distances),
    )
    if job.project.head.has_sigmas:
        similarity = agreement(one.predictions, reference.predictions, job.part)
        row = replace(
            row,
            oks_vs_baseline=mean_oks(similarity),
            keypoint_oks_vs_baseline=by_keypoint(similarity),
        )
    if one.matches is None or reference.matches is None:
        return row
    return replace(
        row,
        ap_drop=_less(reference.row.ap, row.ap),
        ap_drop_ci=drop_interval(reference.matches, one.matches),
        oks_drop=_less(reference.row.oks, row.oks),
    )


def _sqnr(one: Measured, reference: Measured) -> tuple[float, ...] | None:
    if one.sample is None or reference.sample is None:
        return None
    return one.sample.sqnr_db(reference.sample)


def _less(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after


def _picture(job: Job, measured: Sequence[Measured], baseline: str | None) -> bytes:
    """Draw the baseline's keypoints, and under them those of the first int8 network that ran."""
    found = {one.row.backend: one.predictions for one in measured if one.predictions}
    int8 = [one.row.backend for one in measured if one.row.precision == "int8"]
    shown = dict.fromkeys((baseline, *[name for name in int8 if name in found][:1]))
    drawn = {name: found[name] for name in shown if name is not None}
    count = len(job.part.persons)
    step = max(1, count // _DRAWN)
    return draw_predictions(job.part, drawn, persons=range(0, count, step)[:_DRAWN])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
