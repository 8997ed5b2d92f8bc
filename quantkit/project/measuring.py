"""One backend on the evaluation data: its predictions, its figures and its time."""

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import cv2
import numpy as np

from quantkit.backends import BackendName, Runner, latency, open_runner
from quantkit.backends.artifact import Artifact, artifact_precision
from quantkit.backends.export_key import source_content
from quantkit.backends.names import precision
from quantkit.backends.openvino import lacks_vnni
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.detections import load_detections
from quantkit.data.preprocess import crops
from quantkit.errors import BackendDied, InputError, NotFinite, Unavailable
from quantkit.evaluation.agreement import by_keypoint, label_similarity, mean_oks
from quantkit.evaluation.coco_ap import ScoreSpec
from quantkit.evaluation.comparison import Row
from quantkit.evaluation.decode import misfit
from quantkit.evaluation.evaluate import predict, score
from quantkit.evaluation.matches import Matches
from quantkit.evaluation.output_sample import OutputSample
from quantkit.evaluation.prediction_file import read_predictions, write_predictions
from quantkit.evaluation.prediction_journal import PredictionJournal
from quantkit.evaluation.predictions import Predictions
from quantkit.progress import Feedback
from quantkit.project.artifacts import artifact_files
from quantkit.project.config import Project
from quantkit.storage import content_key, from_here, sha256_file

_TIMED_RUNS = 20


@dataclass(frozen=True)
class Job:
    """What all backends are measured on.

    Attributes:
        project: The project.
        val: All persons.
        part: The persons that are shown: `val`, or those of some of its images.
        data_key: Hash of everything but the network that predictions depend on.
        labels: Whether `val` has labels to score against.
        threads: Threads of each backend.
        feedback: Told how it goes.
    """

    project: Project
    val: PoseDataset
    part: PoseDataset
    data_key: str
    labels: bool
    threads: int
    feedback: Feedback


@dataclass(frozen=True)
class Measured:
    """A row, and what it was made from where the backend ran.

    Attributes:
        row: The figures that need no baseline.
        predictions: The keypoints; None where it did not run.
        matches: Only where there are labels.
        sample: Raw outputs of some persons, unless only the keypoints were asked for.
    """

    row: Row
    predictions: Predictions | None = None
    matches: Matches | None = None
    sample: OutputSample | None = None


def measure(
    job: Job, name: BackendName, artifact: Artifact | str, label: str | None = None, *, timed: bool
) -> Measured:
    """Run a backend; one that cannot run, dies or computes nonsense becomes a row that says why.

    Args:
        job: What it is measured on.
        name: The backend.
        artifact: What it runs, or the reason why there is nothing.
        label: Name of the row, where the network is not the project's.
        timed: Measure the time of single runs and keep a sample of the raw outputs, too.

    Raises:
        InputError: An image or the project's own network cannot be read, or the network does not
            fit the project file.
    """
    row = Row(label or name, precision(name))
    if not isinstance(artifact, str):
        row = replace(row, precision=artifact_precision(name, artifact))
    if row.precision != precision(name) and label is None:
        overflow = name == "openvino" and lacks_vnni()
        doubt = (
            ", and its sums may overflow on this processor, which lacks VNNI" if overflow else ""
        )
        job.feedback.note(f"the project's network is int8 already: row '{name}' is not fp32{doubt}")
    if isinstance(artifact, str):
        return Measured(replace(row, status="unavailable", reason=artifact))
    try:
        with _opened(job, name, artifact) as runner:
            if label is not None:
                _check_fit(job.project, runner)
            sample = OutputSample(job.part.persons) if timed else None
            predictions = _predictions(job, row.backend, runner, artifact, sample)
            row = _timed(job, runner, row) if timed else row
    except Unavailable as error:
        return Measured(replace(row, status="unavailable", reason=str(error)))
    except (BackendDied, NotFinite) as error:
        return Measured(replace(row, status="crashed", reason=str(error)))
    files = artifact_files(artifact)
    size = sum(path.stat().st_size for path in files)
    row = replace(row, size_mb=round(size / 1e6, 3) if files else None)
    if not job.labels:
        return Measured(row, predictions, sample=sample)
    val = job.project.val
    scored = ScoreSpec(val.score_mode, val.keypoint_threshold, val.nms)
    evaluation = score(predictions, job.part, scored)
    row = row.with_figures(evaluation.figures)
    if job.part.boxes is None:
        similarity = label_similarity(predictions, job.part)
        row = replace(row, oks=mean_oks(similarity), keypoint_oks=by_keypoint(similarity))
    return Measured(row, predictions, evaluation.matches, sample)


def _opened(job: Job, name: BackendName, artifact: Artifact) -> Runner:
    normalisation = job.project.input.normalisation
    try:
        return open_runner(name, artifact, threads=job.threads, normalisation=normalisation)
    except InputError as error:
        if artifact == job.project.source:
            raise
        # It refuses what the network was converted to; the others may take theirs.
        raise Unavailable(str(error)) from error


def _check_fit(project: Project, runner: Runner) -> None:
    """Refuse a network that is not the project's, and takes or gives other shapes than it."""
    spec = project.input
    try:
        wrong = misfit(runner.run(np.zeros(spec.shape, np.float32)), project.head, spec)
    except InputError as error:
        wrong = str(error)
    if wrong:
        message = f"it does not fit the project: {wrong}"
        raise Unavailable(message)


def _timed(job: Job, runner: Runner, row: Row) -> Row:
    sample = next(crops(job.part.persons[:1], job.project.input)).tensor
    took = latency(runner, sample, _TIMED_RUNS)
    threads = "1 thread" if took.threads == 1 else f"{took.threads} threads"
    return replace(
        row,
        ms_per_instance=round(took.median_ms, 3),
        description=f"{runner.description}; ms on {threads}",
    )


def evaluation_data(project: Project, *, labels: bool) -> PoseDataset:
    """Read the persons that are evaluated: those of the annotations, or a detector's.

    Raises:
        InputError: The data cannot be used.
    """
    paths = project.val
    if paths.boxes is None:
        return load_dataset(paths.annotations, paths.images, keypoints=labels)
    if labels:
        load_dataset(paths.annotations, paths.images, keypoints=True)
    return load_detections(
        paths.annotations, paths.images, paths.boxes, threshold=paths.box_threshold
    )


def data_key(project: Project, val: PoseDataset) -> str:
    """Hash everything but the network that predictions depend on."""
    images = dict.fromkeys(person.image for person in val.persons)
    return content_key(
        {
            "annotations": sha256_file(val.annotations),
            "boxes": None if val.boxes is None else sha256_file(val.boxes),
            "persons": [person.annotation_id for person in val.persons],
            "images": [sha256_file(image) for image in images],
            "input": asdict(project.input),
            "head": asdict(project.head),
            "versions": [version("quantkit"), cv2.__version__],
        }
    )


def _predictions(
    job: Job, label: str, runner: Runner, artifact: Artifact, sample: OutputSample | None
) -> Predictions:
    """Reuse the predictions of an unchanged network, or go on with what a stopped run has left."""
    path = job.project.work_dir / "eval" / f"{label}.predictions.json"
    key = content_key([source_content(artifact), runner.description, job.data_key])
    journal = PredictionJournal(path.with_suffix(".jsonl"), key)
    whole = read_predictions(path, key)
    outputs = path.with_name(f"{label}.outputs.npz")
    sampled = sample is None or sample.read(outputs, key)
    if whole is not None:
        job.feedback.note(f"{label}: nothing changed, {from_here(path)} reused")
        predictions = whole.select([person.annotation_id for person in job.part.persons])
    else:
        predictions = _predicted(job, label, runner, journal, sample)
    if sample is not None and not sampled:
        if sample.missing:
            # An earlier run has finished with them and keeps their keypoints alone.
            part = replace(job.part, persons=sample.missing)
            predict(runner, part, job.project.input, job.project.head, sample=sample)
        sample.write(outputs, key)
    if whole is None:
        if job.part is not job.val:
            return predictions
        write_predictions(path, key, predictions)
    journal.remove()
    return predictions


def _predicted(
    job: Job, label: str, runner: Runner, journal: PredictionJournal, sample: OutputSample | None
) -> Predictions:
    done, total = len(journal.find(job.part.persons)), len(job.part.persons)
    if 0 < done < total and job.part is job.val:
        job.feedback.note(f"{label}: goes on after {done} of {total} persons")

    def progress(stage: str, done: int, total: int) -> None:
        job.feedback.progress(f"{stage} {label}", done, total)

    spec, head = job.project.input, job.project.head
    return predict(runner, job.part, spec, head, progress, journal, sample)
