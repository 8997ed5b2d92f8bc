"""The evaluation step: every backend on the same crops, and what each loses."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import cast

from quantkit.backends import BACKENDS, BackendName
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.errors import InputError, Unavailable
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.comparison import Comparison, Row
from quantkit.evaluation.evaluate import Evaluation, oks_agreement
from quantkit.progress import Feedback
from quantkit.project.artifacts import backend_artifacts
from quantkit.project.config import Project
from quantkit.project.measuring import Job, Measured, data_key, measure
from quantkit.report.evaluation_files import write_evaluation
from quantkit.report.predictions import draw_predictions
from quantkit.storage import write_atomically

_VERSIONED = ("quantkit", "numpy", "torch", "onnxruntime", "openvino", "tensorrt", "ncnn")
_DRAWN = 8


def evaluate_backends(
    project: Project,
    *,
    backends: Sequence[str] | None = None,
    baseline: str | None = None,
    table: str = "kl",
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
        table: Name of the calibration table of the int8 model.
        threads: Threads of each backend.
        feedback: Told how it goes.

    Raises:
        InputError: A name is unknown, or the data or the model cannot be used.
    """
    names = _known(backends or BACKENDS)
    if baseline is not None:
        names = _known(dict.fromkeys((baseline, *names)))
    val = load_dataset(project.val.annotations, project.val.images, keypoints=True)
    artifacts = backend_artifacts(project, names, table, threads, feedback)
    job = Job(project, val, data_key(project, val), threads, feedback)
    measured = [measure(job, name, artifacts[name]) for name in names]
    comparison = _compare(project, val, measured, baseline, table if "ncnn-int8" in names else None)
    folder = project.work_dir / "eval"
    write_evaluation(folder, comparison)
    write_atomically(folder / "predictions.png", _picture(val, measured, comparison.baseline))
    return comparison


def _known(names: Iterable[str]) -> list[BackendName]:
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        raise InputError(f"there is no backend '{unknown[0]}'; there are {', '.join(BACKENDS)}")
    return [cast("BackendName", name) for name in names]


def _compare(
    project: Project,
    val: PoseDataset,
    measured: Sequence[Measured],
    baseline: str | None,
    table: str | None,
) -> Comparison:
    ran = {one.row.backend: one.evaluation for one in measured if one.evaluation is not None}
    if baseline is not None and baseline not in ran:
        reason = next(one.row.reason for one in measured if one.row.backend == baseline)
        raise Unavailable(f"baseline '{baseline}' did not run: {reason}")
    base = baseline or next(iter(ran), None)
    reference = ran[base] if base is not None else None
    return Comparison(
        model=project.name,
        input_size=project.input.size,
        dataset=project.val.annotations.name,
        instances=len(val.persons),
        baseline=base,
        table=table,
        versions={name: found for name in _VERSIONED if (found := _version(name)) is not None},
        rows=tuple(_with_drop(one, reference, val) for one in measured),
    )


def _picture(val: PoseDataset, measured: Sequence[Measured], baseline: str | None) -> bytes:
    """Draw the baseline's keypoints, and under them the ones of the int8 networks."""
    drawn = {
        one.row.backend: one.evaluation.predictions
        for one in measured
        if one.evaluation and (one.row.backend == baseline or one.row.precision == "int8")
    }
    step = max(1, len(val.persons) // _DRAWN)
    return draw_predictions(val, drawn, persons=range(0, len(val.persons), step)[:_DRAWN])


def _with_drop(one: Measured, reference: Evaluation | None, val: PoseDataset) -> Row:
    if one.evaluation is None or reference is None:
        return one.row
    agreement = oks_agreement(one.evaluation.predictions, reference.predictions, val)
    low, high = drop_interval(reference.matches, one.evaluation.matches)
    return replace(
        one.row,
        ap_drop=reference.figures.ap - one.evaluation.figures.ap,
        ap_drop_ci=(low, high),
        oks_vs_baseline=float(agreement.mean()),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
