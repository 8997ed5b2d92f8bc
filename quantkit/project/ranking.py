"""The sensitivity step: layers ranked on crops of the calibration set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.data.coco import Person, load_dataset
from quantkit.data.coco_file import KEYPOINTS, read_coco
from quantkit.data.preprocess import crops as crop_stream
from quantkit.journal import Journal
from quantkit.model.network import read_network
from quantkit.progress import Feedback
from quantkit.project.calibrating import Calibrated, ready_table
from quantkit.project.choosing import judging_set
from quantkit.project.config import Project
from quantkit.project.table_location import table_label, table_reference
from quantkit.project.table_origin import note_origin, table_origin
from quantkit.selection.resolve import resolve
from quantkit.sensitivity.cascade import Cascade
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.ranking import LayerTimes, ranked
from quantkit.sensitivity.report import SensitivityReport
from quantkit.sensitivity.sweep import Shown, Sweep
from quantkit.storage import sha256_bytes, write_atomically

_LABELLED = 8
"""With fewer labelled persons an AP says nothing, and fp32's keypoints are better labels."""


def rank_layers(
    project: Project,
    *,
    table: str | Path = "best",
    calib_set: str | None = None,
    effort: Effort | None = None,
    times: LayerTimes | None = None,
    workers: int = 2,
    feedback: Feedback,
) -> SensitivityReport:
    """Rank the layers by what each of them does in int8, and say what to do about the worst.

    Every finished layer is kept, so that a stopped run goes on where it was. It is judged on crops
    of the calibration set, never on evaluation data.

    Args:
        project: The project.
        table: Name of the calibration table, made if it is a method's name, or a path.
        calib_set: Name of the set whose crops judge; by default the table's, or the default random
            set where that is not known.
        effort: How much is measured.
        times: Milliseconds of layers in fp32 and in int8, where they were measured.
        workers: Child processes.
        feedback: Told what it will cost, and how it goes.

    Raises:
        InputError: The model, the table or the data cannot be used.
        BackendDied: ncnn dies of the fp32 network.
    """
    effort = effort or Effort()
    if effort.ap_crops and not project.head.has_sigmas:
        feedback.note(
            f"sensitivity: OKS and AP are defined for COCO's {KEYPOINTS} keypoints, this network"
            f" has {project.head.keypoints_text}: ranked without them, as by --ap-crops 0"
        )
        effort = replace(effort, ap_crops=0)
    calibrated = ready_table(project, table, threads=workers, feedback=feedback)
    note_origin(project, calibrated.table, feedback)
    scales = read_table(calibrated.table)
    chosen = judging_set(project, calib_set, calibrated.calibration_set, feedback, workers)
    persons = _with_areas(project, resolve(chosen, project.calibration.images))
    effort = _within(effort, len(persons))
    sweep = _sweep(project, calibrated, scales, _spread(persons, effort.crops))
    ap_sweep = _ap_sweep(project, sweep, persons, effort.ap_crops)
    effort = replace(effort, ap_crops=min(effort.ap_crops, len(ap_sweep.shown)))
    found = Cascade(
        sweep,
        ap_sweep,
        effort,
        Journal(project.work_dir / "sensitivity.jsonl"),
        workers=workers,
        feedback=feedback,
    ).run()
    reference, label = (of(project, calibrated.table) for of in (table_reference, table_label))
    layers, agreement = ranked(found, sweep, times or {}, reference)
    report = SensitivityReport(
        model=project.name,
        model_sha256=sweep.network_sha256,
        table=label,
        table_sha256=sha256_bytes(scales.text().encode()),
        table_file=None if reference == label else reference,
        table_note=table_origin(calibrated.table).note,
        calibration_set=chosen.name,
        crops=found.effort.crops,
        ap_crops=found.effort.ap_crops if found.ap_layers else 0,
        labels=None if not found.ap_layers else ap_sweep.labels,
        all_int8=found.all_int8,
        layers=layers,
        left_out=tuple(calibrated.left_out),
        rank_agreement=agreement,
    )
    write_atomically(project.work_dir / "sensitivity.json", report.text())
    return report


def _within(effort: Effort, persons: int) -> Effort:
    return replace(effort, crops=min(effort.crops, persons), ap_crops=min(effort.ap_crops, persons))


def _spread(persons: Sequence[Person], count: int) -> Sequence[Person]:
    return persons[:: max(1, len(persons) // count)][:count] if count else []


def _sweep(
    project: Project, calibrated: Calibrated, scales: CalibrationTable, persons: Sequence[Person]
) -> Sweep:
    return Sweep(
        files=calibrated.prepared,
        network_sha256=read_network(calibrated.prepared).sha256,
        original=calibrated.fp32,
        original_sha256=read_network(calibrated.fp32).sha256,
        table=scales,
        shown=_shown(project, persons),
        spec=project.input,
        head=replace(project.head, flip_test=False),
    )


def _shown(project: Project, persons: Sequence[Person]) -> tuple[Shown, ...]:
    return tuple(map(Shown, persons, crop_stream(persons, project.input)))


def _ap_sweep(project: Project, sweep: Sweep, persons: Sequence[Person], count: int) -> Sweep:
    """Take labelled persons where there are enough of them, else all."""
    path = project.calibration.annotations
    labels: Mapping[int, int] = {
        one.id: one.num_keypoints for one in read_coco(path).annotations if one.has_coco_keypoints
    }
    labelled = [one for one in persons if labels.get(one.annotation_id, 0) > 0]
    enough = len(labelled) >= _LABELLED
    shown = _shown(project, _spread(labelled if enough else persons, count))
    return replace(sweep, shown=shown, annotations=path if enough else None)


def _with_areas(project: Project, persons: Sequence[Person]) -> list[Person]:
    """Give persons the area of their segment, as the OKS of an evaluation takes it."""
    paths = project.calibration
    known = load_dataset(paths.annotations, paths.images, keypoints=False).persons
    areas = {one.annotation_id: one.area for one in known}
    return [replace(one, area=areas.get(one.annotation_id, one.area)) for one in persons]
