"""One backend on the evaluation data: its predictions, its figures and its time."""

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

from quantkit.backends import BackendName, Runner, latency, open_runner
from quantkit.backends.artifact import Artifact
from quantkit.backends.export_key import source_content
from quantkit.data.coco import PoseDataset
from quantkit.data.preprocess import crops
from quantkit.errors import BackendDied, NotFinite, Unavailable
from quantkit.evaluation.comparison import Row
from quantkit.evaluation.evaluate import Evaluation, predict, score
from quantkit.evaluation.prediction_file import read_predictions, write_predictions
from quantkit.evaluation.prediction_journal import PredictionJournal
from quantkit.evaluation.predictions import Predictions
from quantkit.progress import Feedback
from quantkit.project.artifacts import artifact_files
from quantkit.project.config import Project
from quantkit.storage import content_key, from_here, sha256_file

_TIMED_RUNS = 20
_PRECISION = {"ncnn-int8": "int8"}


@dataclass(frozen=True)
class Job:
    """What all backends are measured on.

    Attributes:
        project: The project.
        val: The persons.
        data_key: Hash of everything but the network that predictions depend on.
        threads: Threads of each backend.
        feedback: Told how it goes.
    """

    project: Project
    val: PoseDataset
    data_key: str
    threads: int
    feedback: Feedback


@dataclass(frozen=True)
class Measured:
    """A row, and what it was made from where the backend ran."""

    row: Row
    evaluation: Evaluation | None = None


def measure(job: Job, name: BackendName, artifact: Artifact | str) -> Measured:
    """Run a backend; one that cannot run, dies or computes nonsense becomes a row that says why.

    Args:
        job: What it is measured on.
        name: The backend.
        artifact: What it runs, or the reason why there is nothing.

    Raises:
        InputError: An image cannot be read, or the network does not fit the project file.
    """
    row = Row(name, _PRECISION.get(name, "fp32"))
    if isinstance(artifact, str):
        return Measured(replace(row, status="unavailable", reason=artifact))
    try:
        with open_runner(name, artifact, threads=job.threads) as runner:
            predictions = _predictions(job, runner, artifact)
            sample = next(crops(job.val.persons[:1], job.project.input)).tensor
            took = latency(runner, sample, _TIMED_RUNS)
            description = f"{runner.description}; ms on {took.threads} threads"
    except Unavailable as error:
        return Measured(replace(row, status="unavailable", reason=str(error)))
    except (BackendDied, NotFinite) as error:
        return Measured(replace(row, status="crashed", reason=str(error)))
    evaluation = score(predictions, job.val)
    row = replace(
        row.with_figures(evaluation.figures),
        ms_per_instance=round(took.median_ms, 3),
        size_mb=round(sum(path.stat().st_size for path in artifact_files(artifact)) / 1e6, 3),
        description=description,
    )
    return Measured(row, evaluation)


def data_key(project: Project, val: PoseDataset) -> str:
    """Hash everything but the network that predictions depend on."""
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


def _predictions(job: Job, runner: Runner, artifact: Artifact) -> Predictions:
    """Reuse the predictions of an unchanged network, or go on with what a stopped run has left."""
    path = job.project.work_dir / "eval" / f"{runner.name}.predictions.json"
    key = content_key([source_content(artifact), runner.description, job.data_key])
    journal = PredictionJournal(path.with_suffix(".jsonl"), key)
    predictions = read_predictions(path, key)
    if predictions is not None:
        job.feedback.note(f"{runner.name}: nothing changed, {from_here(path)} reused")
    else:
        predictions = _predicted(job, runner, journal)
        write_predictions(path, key, predictions)
    journal.remove()
    return predictions


def _predicted(job: Job, runner: Runner, journal: PredictionJournal) -> Predictions:
    total = len(job.val.persons)
    if done := len(journal.find(job.val.persons)):
        job.feedback.note(f"{runner.name}: goes on after {done} of {total} persons")

    def progress(stage: str, done: int, total: int) -> None:
        job.feedback.progress(f"{stage} {runner.name}", done, total)

    return predict(runner, job.val, job.project.input, job.project.head, progress, journal)
