"""The proof of a manifest: everything that it says, compared with what is there now."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from quantkit.data.coco import Person, PoseDataset
from quantkit.errors import InputError, QuantkitError
from quantkit.journal import Journal
from quantkit.progress import Progress, silent
from quantkit.selection.candidates_hash import candidates_hash
from quantkit.selection.fingerprints import fingerprints
from quantkit.selection.manifest import CalibrationSet, Entry
from quantkit.selection.overlap import overlap
from quantkit.selection.resolve import checked_image

SCHEMA: Final = 1


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What: images, annotations, pool, network, preprocess, overlap or replay.
        passed: Whether it is as the manifest says.
        detail: What was found, in one line.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verification:
    r"""What became of the proof of a calibration set.

    Attributes:
        calibration_set: Name of the set.
        sha256: Hash of its manifest.
        findings: One for each thing that holds, and one for each problem.

    Example:
        >>> one = Check("pool", False, "holds 12 persons, 13 when the set was chosen")
        >>> found = Verification("mine", "0" * 64, (one,))
        >>> found.ok
        False
        >>> print(*found.lines(), sep="\n")
        FAILED  pool         holds 12 persons, 13 when the set was chosen
        calibration set mine: 1 problem
    """

    calibration_set: str
    sha256: str
    findings: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as the manifest says."""
        return all(one.passed for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Make the JSON object of `quantkit select --verify --json`."""
        return {
            "schema": SCHEMA,
            "calibration_set": self.calibration_set,
            "sha256": self.sha256,
            "ok": self.ok,
            "findings": [asdict(one) for one in self.findings],
        }

    def lines(self) -> list[str]:
        """Say what was found, a line each, and what follows from it."""
        rows = [
            f"{'ok' if one.passed else 'FAILED':<7} {one.name:<12} {one.detail}"
            for one in self.findings
        ]
        problems = sum(not one.passed for one in self.findings)
        verdict = f"{problems} problem{'s' if problems > 1 else ''}" if problems else "proven"
        return [*rows, f"calibration set {self.calibration_set}: {verdict}"]


def verify(
    chosen: CalibrationSet,
    pool: PoseDataset,
    evaluation: PoseDataset,
    *,
    model_sha256: str | None = None,
    preprocess: Mapping[str, Any] | None = None,
    replay: Callable[[], CalibrationSet] | None = None,
    journal: Journal | None = None,
    progress: Progress = silent,
) -> Verification:
    """Prove a manifest; every problem is found, not the first alone.

    Args:
        chosen: The set as its manifest has it.
        pool: The persons that it was chosen from, as they are now.
        evaluation: The data that is evaluated on.
        model_sha256: Hash of the network as it is now, for a set that a network had a part in.
        preprocess: The `InputSpec` as JSON values, for a set that crops had a part in.
        replay: Makes the choice again, with the set's strategy, parameters and seed; without it
            the choice is not proven.
        journal: Keeps what images look like; each is read and hashed all the same.
        progress: Called after every image that was read, stages "verify" and "overlap".
    """
    findings = (
        *_held("images", _images(chosen, pool.images, journal, progress), _images_hold(chosen)),
        *_held("annotations", _annotations(chosen, pool), "ids, names and boxes as in the file"),
        *_held("pool", _pool(chosen, pool), f"the same {chosen.candidates} persons to choose from"),
        *_held("network", _network(chosen, model_sha256), _network_holds(chosen)),
        *_held("preprocess", _preprocess(chosen, preprocess), _preprocess_holds(chosen)),
        *_held(
            "overlap",
            _overlap(chosen, pool.images, evaluation, journal, progress),
            f"no image of {evaluation.annotations.name}, by id, content or looks",
        ),
    )
    if replay is not None:
        holds = f"{chosen.strategy} with seed {chosen.seed} chooses the same persons again"
        findings += _held("replay", _replay(chosen, replay), holds)
    return Verification(chosen.name, chosen.sha256, findings)


def _held(name: str, problems: Iterator[str], holds: str) -> tuple[Check, ...]:
    failed = tuple(Check(name, False, problem) for problem in problems)
    return failed or (Check(name, True, holds),)


def _images(
    chosen: CalibrationSet, images: Path, journal: Journal | None, progress: Progress
) -> Iterator[str]:
    entries = list({entry.file_name: entry for entry in chosen.entries}.values())
    for done, entry in enumerate(entries, start=1):
        try:
            path = checked_image(entry, images)
            if next(fingerprints([path], journal)).thumbnail is None:
                yield f"{entry.file_name}: is truncated or no image"
        except InputError as error:
            yield str(error)
        progress("verify", done, len(entries))


def _images_hold(chosen: CalibrationSet) -> str:
    count = len({entry.file_name for entry in chosen.entries})
    return f"{count} images are those that were selected, to the byte"


def _annotations(chosen: CalibrationSet, pool: PoseDataset) -> Iterator[str]:
    persons = {person.annotation_id: person for person in pool.persons}
    for entry in chosen.entries:
        person = persons.get(entry.annotation_id)
        if person is None:
            yield f"annotation {entry.annotation_id} is no person of {pool.annotations.name} now"
        else:
            yield from _changes(entry, person)


def _changes(entry: Entry, person: Person) -> Iterator[str]:
    for field in ("image_id", "file_name", "box"):
        was, now = getattr(entry, field), getattr(person, field)
        if was != now:
            yield f"annotation {entry.annotation_id}: {field} was {was}, is {now}"


def _pool(chosen: CalibrationSet, pool: PoseDataset) -> Iterator[str]:
    there = len(pool.persons)
    if there != chosen.candidates:
        yield f"holds {there} persons, {chosen.candidates} when the set was chosen"
    elif candidates_hash(pool.persons) != chosen.candidates_sha256:
        yield f"holds {there} persons, but other ones than when the set was chosen"


def _network(chosen: CalibrationSet, model_sha256: str | None) -> Iterator[str]:
    if chosen.model_sha256 not in (None, model_sha256):
        now = "is not at hand" if model_sha256 is None else f"is {model_sha256[:12]} now"
        yield f"was {chosen.model_sha256[:12] if chosen.model_sha256 else ''}, {now}"


def _network_holds(chosen: CalibrationSet) -> str:
    if chosen.model_sha256 is None:
        return "none had a part in the choice"
    return f"still {chosen.model_sha256[:12]}"


def _preprocess(chosen: CalibrationSet, now: Mapping[str, Any] | None) -> Iterator[str]:
    if not chosen.preprocess:
        return
    there = now or {}
    for name in sorted({*chosen.preprocess, *there}):
        was, current = chosen.preprocess.get(name), there.get(name)
        if was != current:
            yield f"{name} was {was}, is {current}"


def _preprocess_holds(chosen: CalibrationSet) -> str:
    return "unchanged" if chosen.preprocess else "no crop had a part in the choice"


def _overlap(
    chosen: CalibrationSet,
    images: Path,
    evaluation: PoseDataset,
    journal: Journal | None,
    progress: Progress,
) -> Iterator[str]:
    missing = {one.image: one.file_name for one in evaluation.persons if not one.image.is_file()}
    for name in missing.values():
        yield f"{name} of the evaluation data is missing, so nothing is known about it"
    present = tuple(one for one in evaluation.persons if one.image not in missing)
    names = {one.image: one.file_name for one in present}
    try:
        for name, one in zip(names.values(), fingerprints(tuple(names), journal), strict=True):
            if one.thumbnail is None:
                yield f"{name} of the evaluation data is truncated or no image"
        shared = overlap(
            chosen,
            replace(evaluation, persons=present),
            images=images,
            journal=journal,
            progress=progress,
        )
    except InputError as error:
        yield str(error)
    else:
        yield from map(str, shared)


def _replay(chosen: CalibrationSet, replay: Callable[[], CalibrationSet]) -> Iterator[str]:
    try:
        again = replay()
    except QuantkitError as error:
        yield f"cannot be chosen again: {error}"
        return
    what = f"{chosen.strategy} with seed {chosen.seed}"
    was, now = (_ids(one.entries) for one in (chosen, again))
    for number in sorted(was - now):
        yield f"{what} does not choose annotation {number} now"
    for number in sorted(now - was):
        yield f"{what} chooses annotation {number} now"


def _ids(entries: Sequence[Entry]) -> set[int]:
    return {entry.annotation_id for entry in entries}
