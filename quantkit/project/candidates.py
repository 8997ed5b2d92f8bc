"""The persons of the project that a set may be chosen from, with what strategies look at."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import quantkit
from quantkit.calibration.provenance import package_versions
from quantkit.data.coco import Person, PoseDataset
from quantkit.data.coco_file import read_coco
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.judging import judged
from quantkit.project.observing import Observed, observed
from quantkit.project.person_keys import person_keys
from quantkit.project.selection_request import SelectionRequest
from quantkit.selection.candidates import Candidates
from quantkit.selection.manifest import Refused
from quantkit.selection.outliers import Outlier, outliers
from quantkit.selection.seeded_order import seeded_order
from quantkit.selection.traits import Traits, box_traits, measure_traits


@dataclass(frozen=True)
class ProjectCandidates:
    """The persons of a pool that a selection looks at; images are read and the network run once.

    Attributes:
        project: The project.
        pool: All persons of its calibration data.
        request: What is asked for, sized.
        feedback: Told how images are read and the network is run.
        threads: How many crops are run at a time.
    """

    project: Project
    pool: PoseDataset
    request: SelectionRequest
    feedback: Feedback
    threads: int

    @cached_property
    def persons(self) -> tuple[Person, ...]:
        """All of the pool, or those that are drawn from it."""
        everyone, request = self.pool.persons, self.request
        if not (request.sees_images or request.runs_network):
            return everyone
        drawn = sorted(seeded_order(everyone, request.seed)[: request.among])
        return tuple(everyone[index] for index in drawn)

    @cached_property
    def traits(self) -> Traits:
        """How they are seen."""
        spec, progress = self.project.input, self.feedback.progress
        seen = measure_traits(self.persons, self._keypoints, spec, progress)
        # By all persons of their images, whoever of them was drawn.
        return replace(seen, crowding=self.by_boxes.crowding)

    @cached_property
    def by_boxes(self) -> Traits:
        """What their boxes alone say of how they are seen."""
        ids = {person.annotation_id for person in self.persons}
        everyone = self.pool.persons
        places = [k for k, person in enumerate(everyone) if person.annotation_id in ids]
        return box_traits(everyone, self._keypoints).take(places)

    @cached_property
    def observed(self) -> Observed:
        """What the network makes of them."""
        return observed(self.project, self.persons, self.feedback, self.threads, keys=self._keys)

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Those who may not be chosen."""
        if not self.request.refuse_outliers:
            return ()
        return outliers(self.observed.activations)

    def allowed(self) -> Candidates:
        """Show those who may be chosen to a strategy."""
        whole = Candidates(
            self.persons,
            lambda: self.traits,
            lambda: self.observed.activations,
            self.judged,
            self.feedback.progress,
        )
        return whole.take(self.allowed_places) if self.outliers else whole

    @cached_property
    def allowed_places(self) -> list[int]:
        """Places among the persons of those who may be chosen."""
        out = {one.index for one in self.outliers}
        return [place for place in range(len(self.persons)) if place not in out]

    def judged(self, sets: Sequence[Sequence[int]]) -> Sequence[float]:
        """Measure what the tables of sets leave of the network's outputs, in dB."""
        return judged(
            self.project,
            self.persons,
            sets,
            method=self.request.method,
            threads=self.threads,
            feedback=self.feedback,
            keys=self._keys,
        )

    @cached_property
    def _keys(self) -> Sequence[bytes]:
        return person_keys(self.persons, self.feedback)

    def refused(self) -> tuple[Refused, ...]:
        """Say who may not be chosen, and why."""
        return tuple(
            Refused(person.annotation_id, person.file_name, _reason(one))
            for one in self.outliers
            for person in (self.persons[one.index],)
        )

    def origin(self) -> dict[str, Any]:
        """Say what decided, as fields of the manifest."""
        request = self.request
        looked = request.sees_images or request.runs_network
        return {
            "parameters": request.parameters(len(self.pool.persons)),
            "model_sha256": self.observed.model_sha256 if request.runs_network else None,
            "preprocess": asdict(self.project.input) if looked else {},
            "versions": {
                "quantkit": quantkit.__version__,
                **(package_versions() if looked else {}),
            },
        }

    @cached_property
    def _keypoints(self) -> Mapping[int, int]:
        found = read_coco(self.pool.annotations).annotations
        return {one.id: one.num_keypoints for one in found if one.keypoints is not None}


def _reason(one: Outlier) -> str:
    more = f" and {len(one.layers) - 1} more" if len(one.layers) > 1 else ""
    return f"{one.factor:.1f} times the rest in {one.layers[0]}{more}"


def find_outliers(
    project: Project, persons: Sequence[Person], feedback: Feedback, threads: int = 2
) -> list[dict[str, Any]]:
    """Find the persons that alone set the largest value of layers, for `measure_curve`.

    Args:
        project: The project.
        persons: Whom to look at; of more than 512, so many are drawn.
        feedback: Told how the network is run.
        threads: How many crops are run at a time.

    Raises:
        InputError: The model or an image cannot be used.
        BackendDied: ncnn died of the network.
    """
    among = SelectionRequest().among
    few = [persons[index] for index in sorted(seeded_order(persons, 0)[:among])]
    found = outliers(observed(project, few, feedback, threads).activations)
    return [one.to_json(few[one.index].annotation_id, few[one.index].file_name) for one in found]
