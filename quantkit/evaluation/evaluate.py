"""A network, shown every person of a data set, and what it costs against a baseline."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.backends.runner import Input, Runner
from quantkit.data.coco import Person, PoseDataset
from quantkit.data.preprocess import Crop, InputSpec, crops
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.bursts import in_bursts
from quantkit.evaluation.coco_ap import DEFAULT_SCORE_SPEC, CocoFigures, ScoreSpec, coco_figures
from quantkit.evaluation.decode import Outputs, decode, to_image
from quantkit.evaluation.flip import mirrored
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.matches import Matches
from quantkit.evaluation.output_sample import OutputSample
from quantkit.evaluation.prediction_journal import PredictionJournal
from quantkit.evaluation.predictions import PersonPrediction, Predictions
from quantkit.progress import Progress, silent


@dataclass(frozen=True)
class Evaluation:
    """A network's predictions on a data set and how good they are.

    Attributes:
        predictions: The keypoints.
        figures: COCO's ten figures.
        matches: What the figures follow from; the bootstrap resamples it.
    """

    predictions: Predictions
    figures: CocoFigures
    matches: Matches


def predict(
    runner: Runner,
    dataset: PoseDataset,
    spec: InputSpec,
    head: HeadSpec,
    progress: Progress = silent,
    journal: PredictionJournal | None = None,
    sample: OutputSample | None = None,
) -> Predictions:
    """Show a network every person of a data set.

    Reading and warping run ahead of the network, which works on later persons while earlier ones
    are decoded; memory does not grow with the number of images. Under the head's flip test a
    person's mirrored crop follows the crop.

    Args:
        runner: An open runner.
        dataset: The persons.
        spec: The network's input.
        head: How the network's outputs are read.
        progress: Called after every person, stage "predict".
        journal: Keeps each person as it comes; whom it holds already is not shown again.
        sample: Keeps the outputs of some persons, of the crop as it is; those whom the journal
            holds are not among them.

    Raises:
        InputError: An image cannot be read, or an output has the wrong shape; the image is named.
        NotFinite: An output is not finite; the image is named.
    """
    kept = {} if journal is None else journal.find(dataset.persons)
    todo = [person for person in dataset.persons if person.annotation_id not in kept]
    progress("predict", len(kept), len(dataset.persons))
    for prediction in _predictions(runner, todo, spec, head, sample):
        kept[prediction.annotation_id] = prediction
        if journal is not None:
            journal.record(prediction)
        progress("predict", len(kept), len(dataset.persons))
    return Predictions.of([kept[person.annotation_id] for person in dataset.persons])


def _predictions(
    runner: Runner,
    persons: Sequence[Person],
    spec: InputSpec,
    head: HeadSpec,
    sample: OutputSample | None,
) -> Iterator[PersonPrediction]:
    pixels = runner.normalisation == spec.normalisation
    feed = _Feed(persons, spec, flip=head.flip_test, pixels=pixels)
    for person, outputs, flipped in in_bursts(_answers(runner, feed, persons)):
        crop = feed.sent.popleft()
        try:
            inside, confidences = decode(outputs, head, spec, flipped)
        except InputError as error:
            raise _at(person, error) from error
        if sample is not None:
            sample.keep(person, outputs)
        yield PersonPrediction(
            annotation_id=person.annotation_id,
            image_id=person.image_id,
            keypoints=to_image(inside, crop, spec).astype(np.float64),
            scores=confidences,
            crop_area=float(crop.scale.prod()),
        )


def score(
    predictions: Predictions, dataset: PoseDataset, spec: ScoreSpec = DEFAULT_SCORE_SPEC
) -> Evaluation:
    """Score predictions against the labels of their data set.

    Args:
        predictions: One set of keypoints per person of the data set.
        dataset: Read with keypoints.
        spec: How persons are scored.
    """
    figures, matches = coco_figures(predictions, dataset, spec)
    return Evaluation(predictions, figures, matches)


class _Feed:
    """The crops of persons, whose way back to the image is remembered once they are taken."""

    def __init__(
        self, persons: Sequence[Person], spec: InputSpec, *, flip: bool, pixels: bool
    ) -> None:
        self.flip = flip
        self._pixels = pixels
        self._crops = crops(persons, spec)
        self.sent: deque[Crop] = deque()
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[Input]:
        try:
            for crop in self._crops:
                self.sent.append(crop)
                shown = crop.pixels if self._pixels else crop.tensor
                yield shown
                if self.flip:
                    yield mirrored(shown)
        except InputError as error:
            self.failure = error
            raise


def _answers(
    runner: Runner, feed: _Feed, persons: Sequence[Person]
) -> Iterator[tuple[Person, Outputs, Outputs | None]]:
    answers = runner.stream(feed)
    for person in persons:
        try:
            outputs = next(answers)
            flipped = next(answers) if feed.flip else None
        except InputError as error:
            # An image that cannot be read is named already; a complaint of the runner is not.
            if error is feed.failure:
                raise
            raise _at(person, error) from error
        yield person, outputs, flipped


def _at(person: Person, error: InputError) -> InputError:
    message = f"annotation {person.annotation_id}: {error}"
    kind = NotFinite if isinstance(error, NotFinite) else InputError
    return kind(message, path=person.image)
