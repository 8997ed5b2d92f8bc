"""The curve step: how many crops a table needs, measured on the calibration data."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from quantkit.backends.child import in_child
from quantkit.calibration.methods import method_named
from quantkit.calibration.nested import check_sizes
from quantkit.data.coco import Person, load_dataset
from quantkit.errors import InputError
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project.choosing import refuse_evaluation_data
from quantkit.project.config import Project
from quantkit.project.curve_sheet import outliers_path
from quantkit.project.exporting import export_model
from quantkit.selection.candidates_hash import candidates_hash
from quantkit.selection.manifest import CalibrationSet, Entry
from quantkit.selection.seeded_order import seeded_order
from quantkit.stability.disjoint import TOLERANCE
from quantkit.stability.measuring import measure
from quantkit.stability.report import CurveReport
from quantkit.stability.task import CurveTask
from quantkit.storage import sha256_file, write_atomically

SIZES: Final = (8, 16, 32, 64, 128, 256, 512)
_FEWEST_LABELLED: Final = 8
"""With fewer labelled persons an AP says nothing, and fp32's keypoints are better labels."""
_LARGEST_SHARE: Final = 4
"""At most a quarter of the persons judge: the rest is what the curve is about."""
_JUDGES_SEED: Final = -1
"""No seed of a set, so that whom it draws says nothing about who judges."""

FindOutliers = Callable[[Sequence[Person]], Sequence[Mapping[str, Any]]]


def measure_curve(
    project: Project,
    *,
    method: str = "kl",
    seeds: int = 5,
    sizes: Sequence[int] | None = None,
    held_out: int = 64,
    tolerance: float = TOLERANCE,
    threads: int = 2,
    outliers: FindOutliers | None = None,
    feedback: Feedback,
) -> CurveReport:
    """Measure how tables settle with the size of their calibration set, and write `curve.json`.

    Every finished table is kept, so that a stopped run goes on where it was. The sets are drawn at
    random from the calibration data; they are judged on persons of other images of it, never on
    evaluation data.

    Args:
        project: The project.
        method: Calibration method, a key of `quantkit.calibration.METHODS`.
        seeds: How many sets of each size are drawn, from seed 0 on; at least 2.
        sizes: Sizes of the sets, ascending; by default 8, 16, 32 ... 512, as far as there are
            persons.
        held_out: How many persons judge at most.
        tolerance: Share by which scales of disjoint sets may differ before a layer is named.
        threads: Crops that are run at a time.
        outliers: Finds, among the persons that sets are drawn from, those that alone set the
            largest value of layers; they are handed on in the report.
        feedback: Told what it will cost, and how it goes.

    Raises:
        InputError: The model or the data cannot be used, there are too few persons, or the
            calibration data shares an image with the evaluation data.
        BackendDied: ncnn died of the network.
    """
    method_named(method)
    if seeds < 2 or held_out < 1:
        message = f"a curve needs at least 2 seeds and 1 held-out person, got {seeds}, {held_out}"
        raise InputError(message)
    task, pool = _task(project, method, seeds, sizes, held_out, tolerance, threads, feedback)
    found = in_child("the curve", feedback, measure, task)
    report = CurveReport(
        model=project.name,
        model_sha256=task.network_sha256,
        method=method,
        pool=len(pool),
        held_out=len(task.judges),
        labels="fp32 keypoints" if task.labels is None else "labels",
        fp32_ap=found.fp32_ap,
        sizes=task.sizes,
        seeds=tuple(task.orders),
        points=found.points,
        recommended=found.recommended,
        tolerance=tolerance,
        disjoint=found.disjoint,
        outliers=() if outliers is None else tuple(outliers(pool)),
    )
    # A report would take the outliers of an earlier curve for those of this one.
    outliers_path(project).unlink(missing_ok=True)
    write_atomically(project.work_dir / "curve.json", report.text())
    return report


def _task(
    project: Project,
    method: str,
    seeds: int,
    sizes: Sequence[int] | None,
    held_out: int,
    tolerance: float,
    threads: int,
    feedback: Feedback,
) -> tuple[CurveTask, list[Person]]:
    """Say what is to be measured, and who the sets are drawn from."""
    paths = project.calibration
    everyone = load_dataset(paths.annotations, paths.images, keypoints=False).persons
    judges, labels = _judges(project, everyone, held_out)
    judging = {person.image_id for person in judges}
    pool = [person for person in everyone if person.image_id not in judging]
    fitting = _sizes(sizes, pool, project)
    orders = {seed: _order(pool, seed, 2 * fitting[-1]) for seed in range(seeds)}
    used = {person.annotation_id for one in (*orders.values(), judges) for person in one}
    images = _checked_images(project, [p for p in everyone if p.annotation_id in used], feedback)
    files = export_model(project, feedback).ncnn
    task = CurveTask(
        files=files,
        network_sha256=read_network(files).sha256,
        method=method,
        spec=project.input,
        head=replace(project.head, flip_test=False),
        sizes=fitting,
        orders=orders,
        pool=len(pool),
        judges=judges,
        labels=labels,
        images=images,
        journal=project.work_dir / "curve.jsonl",
        tolerance=tolerance,
        threads=threads,
    )
    return task, pool


def _order(pool: Sequence[Person], seed: int, count: int) -> tuple[Person, ...]:
    return tuple(pool[index] for index in seeded_order(pool, seed)[:count])


def _sizes(
    asked: Sequence[int] | None, pool: Sequence[Person], project: Project
) -> tuple[int, ...]:
    fitting = tuple(size for size in SIZES if size <= len(pool))
    if asked is None and fitting:
        return fitting
    check_sizes(tuple(asked or SIZES[:1]))
    sizes = tuple(asked or SIZES[:1])
    if sizes[-1] > len(pool):
        message = (
            f"sets of {sizes[-1]} persons are asked for, but {len(pool)} are left beside those"
            " that judge"
        )
        raise InputError(message, path=project.calibration.annotations)
    return sizes


def _judges(
    project: Project, everyone: Sequence[Person], held_out: int
) -> tuple[tuple[Person, ...], Path | None]:
    """Draw images until their persons are enough; labelled persons only, where there are enough."""
    paths = project.calibration
    labelled: set[int] = set()
    if project.head.has_sigmas:
        with suppress(InputError):
            data = load_dataset(paths.annotations, paths.images, keypoints=True)
            labelled = {person.annotation_id for person in data.persons}
    enough = len(labelled) >= _FEWEST_LABELLED
    able = [one for one in everyone if not enough or one.annotation_id in labelled]
    groups = {key: list(group) for key, group in groupby(able, key=lambda one: one.image_id)}
    firsts = [group[0] for group in groups.values()]
    held_out = min(held_out, max(1, len(everyone) // _LARGEST_SHARE))
    judges: list[Person] = []
    for index in seeded_order(firsts, _JUDGES_SEED):
        if len(judges) < held_out:
            judges += groups[firsts[index].image_id]
    return tuple(judges[:held_out]), paths.annotations if enough else None


def _checked_images(
    project: Project, persons: Sequence[Person], feedback: Feedback
) -> dict[Path, str]:
    """Hash the images, and refuse those that are evaluation data."""
    files = list(dict.fromkeys(person.image for person in persons))
    hashes = {}
    for done, path in enumerate(files, start=1):
        hashes[path] = sha256_file(path)
        feedback.progress("images", done, len(files))
    used = CalibrationSet(
        name=f"{project.name} curve",
        strategy="random",
        seed=0,
        count=len(persons),
        annotations=project.calibration.annotations.name,
        images=project.calibration.images.name,
        candidates=len(persons),
        candidates_sha256=candidates_hash(persons),
        entries=tuple(
            Entry(one.annotation_id, one.image_id, one.file_name, one.box, hashes[one.image])
            for one in persons
        ),
    )
    refuse_evaluation_data(project, used, feedback)
    return hashes
