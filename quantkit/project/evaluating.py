"""The evaluation step: every backend on the same crops, and what each loses."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import cast

from quantkit.backends import BACKENDS, BackendName, Runner, latency, open_runner
from quantkit.backends.artifact import Artifact
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import BackendDied, InputError, Unavailable
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.comparison import Comparison, Row
from quantkit.evaluation.evaluate import Evaluation, oks_agreement, predict, score
from quantkit.evaluation.prediction_file import read_predictions, write_predictions
from quantkit.evaluation.predictions import Predictions
from quantkit.progress import Feedback
from quantkit.project.artifacts import artifact_files, backend_artifacts
from quantkit.project.config import Project
from quantkit.report.evaluation_files import write_evaluation
from quantkit.report.predictions import draw_predictions
from quantkit.storage import content_key, from_here, sha256_file, write_atomically

_VERSIONED = ("quantkit", "numpy", "torch", "onnxruntime", "openvino", "tensorrt", "ncnn")
_TIMED_RUNS = 20
_PRECISION = {"ncnn-int8": "int8"}
_DRAWN = 8


@dataclass(frozen=True)
class _Job:
    """What all backends are measured on."""

    project: Project
    val: PoseDataset
    data_key: str
    threads: int
    feedback: Feedback


@dataclass(frozen=True)
class _Measured:
    """A row, and what it was made from where the backend ran."""

    row: Row
    evaluation: Evaluation | None = None


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

    A backend that cannot run, or dies, becomes a row that says why; the others go on. Predictions
    of an unchanged network on unchanged data are reused.

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
    data_key = _data_key(project, val)
    measured = [
        _measure(_Job(project, val, data_key, threads, feedback), name, artifacts[name])
        for name in names
    ]
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


def _measure(job: _Job, name: BackendName, artifact: Artifact | str) -> _Measured:
    row = Row(name, _PRECISION.get(name, "fp32"))
    if isinstance(artifact, str):
        return _Measured(replace(row, status="unavailable", reason=artifact))
    try:
        with open_runner(name, artifact, threads=job.threads) as runner:
            predictions = _predictions(job, runner, artifact)
            sample = next(crops(job.val.persons[:1], job.project.input)).tensor
            took = latency(runner, sample, _TIMED_RUNS)
            description = f"{runner.description}; ms on {took.threads} threads"
    except Unavailable as error:
        return _Measured(replace(row, status="unavailable", reason=str(error)))
    except BackendDied as error:
        return _Measured(replace(row, status="crashed", reason=str(error)))
    evaluation = score(predictions, job.val)
    row = replace(
        row.with_figures(evaluation.figures),
        ms_per_instance=round(took.median_ms, 3),
        size_mb=round(sum(path.stat().st_size for path in artifact_files(artifact)) / 1e6, 3),
        description=description,
    )
    return _Measured(row, evaluation)


def _predictions(job: _Job, runner: Runner, artifact: Artifact) -> Predictions:
    path = job.project.work_dir / "eval" / f"{runner.name}.predictions.json"
    model = [sha256_file(file) for file in artifact_files(artifact)]
    key = content_key([model, runner.outputs, runner.description, job.data_key])
    kept = read_predictions(path, key)
    if kept is not None:
        job.feedback.note(f"{runner.name}: nothing changed, {from_here(path)} reused")
        return kept

    def progress(stage: str, done: int, total: int) -> None:
        job.feedback.progress(f"{stage} {runner.name}", done, total)

    predictions = predict(runner, job.val, job.project.input, job.project.head, progress)
    write_predictions(path, key, predictions)
    return predictions


def _data_key(project: Project, val: PoseDataset) -> str:
    images = dict.fromkeys(person.image for person in val.persons)
    return content_key(
        {
            "annotations": sha256_file(val.annotations),
            "images": [sha256_file(image) for image in images],
            "input": asdict(project.input),
            "head": asdict(project.head),
            "quantkit": version("quantkit"),
        }
    )


def _compare(
    project: Project,
    val: PoseDataset,
    measured: Sequence[_Measured],
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


def _picture(val: PoseDataset, measured: Sequence[_Measured], baseline: str | None) -> bytes:
    """Draw the baseline's keypoints, and under them the ones of the int8 networks."""
    drawn = {
        one.row.backend: one.evaluation.predictions
        for one in measured
        if one.evaluation and (one.row.backend == baseline or one.row.precision == "int8")
    }
    step = max(1, len(val.persons) // _DRAWN)
    return draw_predictions(val, drawn, persons=range(0, len(val.persons), step)[:_DRAWN])


def _with_drop(one: _Measured, reference: Evaluation | None, val: PoseDataset) -> Row:
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
