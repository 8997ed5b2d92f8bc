"""The search step: the fastest mix of fp32 and int8 that holds bounds, as a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from quantkit.backends.child import in_child
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.data.coco_file import KEYPOINTS
from quantkit.data.preprocess import crops as crop_stream
from quantkit.errors import InputError
from quantkit.latency.profile import LatencyProfile
from quantkit.model.network import Network, read_network
from quantkit.progress import Feedback
from quantkit.project.calibrating import Calibrated, ready_table
from quantkit.project.choosing import judging_set
from quantkit.project.config import Project
from quantkit.project.layer_timing import costs_of
from quantkit.project.mixed_table import METHOD, reasons, table_sha256, write_mixed
from quantkit.project.mixing_data import confirmed, judging
from quantkit.project.mixing_times import timed
from quantkit.project.table_location import find_table, table_label, table_path
from quantkit.project.table_origin import note_origin, table_origin
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.resolve import resolve
from quantkit.sensitivity.search import Chain, Found, SearchRequest, search
from quantkit.sensitivity.search_choice import choose, with_pareto
from quantkit.sensitivity.search_costs import LayerCost
from quantkit.sensitivity.search_mix import Mix
from quantkit.sensitivity.search_report import (
    Bounds,
    SearchReport,
    Tried,
    matching_report,
)
from quantkit.sensitivity.sweep import Sweep
from quantkit.storage import content_key, from_here, sha256_file, write_atomically
from quantkit.tuning.recipe import Step

_BOUNDS = Bounds()


@dataclass(frozen=True)
class MixRequest:
    """What a search is asked to do.

    Attributes:
        table: Name of the table that it begins with, made if it is a method's, or a path.
        name: Name of the table that is written.
        bounds: What has to be held.
        latency: Layer times measured elsewhere; None to measure them here.
        budget: Seconds that it may take, about.
        calib_set: Name of the set whose crops calibrate anew, and judge where there are no labels;
            by default the table's.
    """

    table: str | Path = "best"
    name: str = METHOD
    bounds: Bounds = _BOUNDS
    latency: Path | None = None
    budget: float | None = None
    calib_set: str | None = None


@dataclass(frozen=True)
class _Work:
    """The project's model and table, read."""

    project: Project
    calibrated: Calibrated
    chosen: CalibrationSet
    prepared: Network
    exported: Network
    table: CalibrationTable
    sweep: Sweep
    key: str


def mix_table(
    project: Project,
    request: MixRequest,
    *,
    threads: int = 2,
    feedback: Feedback,
    overwrite: bool = False,
) -> SearchReport:
    """Find the fastest mixed table that holds bounds and write it, with its network and reasons.

    The search looks at train persons; the mix that is chosen is confirmed once on validation data.
    What was found is kept, so that a killed search goes on, and a finished one is reused.

    Args:
        project: The project.
        request: What to do.
        threads: How many crops are run at a time.
        feedback: Told what it will cost, how it goes and what is reused.
        overwrite: Replace a table that has other content.

    Raises:
        InputError: The model, the table, the layer times or the data cannot be used, or another
            table of that name is there.
        GateFailed: No mix holds the bounds, or none is faster than fp32.
        BackendDied: ncnn died of a network.
    """
    if request.bounds.max_drop is not None and not project.head.has_sigmas:
        message = (
            f"--max-drop bounds the AP, which is defined for COCO's {KEYPOINTS} keypoints; this"
            f" network has {project.head.keypoints_text}: use --min-sqnr"
        )
        raise InputError(message)
    path = table_path(project, request.name)
    if path == find_table(project, request.table):
        message = f"table '{request.name}' would replace the one that the search begins with"
        raise InputError(f"{message}; give another name")
    work = _opened(project, request, threads, feedback)
    file = _file(project)
    report = matching_report(file, work.key, path)
    if report is not None:
        feedback.note(f"nothing changed, search reused: {from_here(file)}")
    elif path.is_file() and not overwrite:
        raise InputError("is there already; give --overwrite or another name", path=path)
    else:
        report = _mixed(work, request, path, threads, feedback)
    if report.confirmed is None:
        report = replace(report, confirmed=confirmed(project, request.name, threads, feedback))
        write_atomically(file, report.text())
    _journal(project).unlink(missing_ok=True)
    return report


def _mixed(
    work: _Work, request: MixRequest, path: Path, threads: int, feedback: Feedback
) -> SearchReport:
    """Search, choose and write the table."""
    project = work.project
    costs, profile = costs_of(
        project,
        work.prepared,
        work.calibrated.fp32.input,
        work.table.layers,
        request.latency,
        feedback,
        resumed=_journal(project).is_file(),
    )
    found = _searched(work, request, costs, threads, feedback)
    times = timed(
        project,
        work.exported,
        work.calibrated.fp32,
        found,
        costs,
        request.bounds,
        here=request.latency is None,
        feedback=feedback,
    )
    tried = with_pareto([one for _, one in times.tried])
    chosen, why = choose(tried, claim=times.claim)
    mix = next(mix for mix, one in times.tried if mix is not None and one.name == chosen.name)
    chain = next(chain for chain in found.chains if chain.start.network is mix.network)
    report = SearchReport(
        model=project.name,
        base=table_label(project, work.calibrated.table),
        bounds=request.bounds,
        machine=profile.machine,
        layer_noise=profile.noise,
        network_noise=times.noise,
        claim=times.claim,
        persons=found.persons,
        labels="fp32 keypoints" if work.sweep.annotations is None else "labels",
        layers=tuple(cost.to_json() for cost in costs.values()),
        tried=tried,
        chosen=chosen.name,
        why=why,
        table=request.name,
        table_sha256=table_sha256(mix.scales),
        key=work.key,
        masks=tuple(sorted(mix.masks)),
        joined_shuffles=(len(work.exported.param.layers) - len(mix.network.param.layers)) // 2,
        table_note=table_origin(work.calibrated.table).note,
    )
    # First, so that a table that is there belongs to a search that is known.
    write_atomically(_file(project), report.text())
    _write(work, path, mix, chain, chosen, found, costs, profile)
    return report


def _opened(project: Project, request: MixRequest, threads: int, feedback: Feedback) -> _Work:
    calibrated = ready_table(project, request.table, threads=threads, feedback=feedback)
    note_origin(project, calibrated.table, feedback)
    prepared, exported = read_network(calibrated.prepared), read_network(calibrated.fp32)
    table = read_table(calibrated.table)
    known = calibrated.calibration_set
    chosen = judging_set(project, request.calib_set, known, feedback, threads)
    shown, labels = judging(project, chosen, feedback)
    sweep = Sweep(
        files=calibrated.prepared,
        network_sha256=prepared.sha256,
        original=calibrated.fp32,
        original_sha256=exported.sha256,
        table=table,
        shown=shown,
        spec=project.input,
        head=replace(project.head, flip_test=False),
        annotations=labels,
    )
    latency = None if request.latency is None else sha256_file(request.latency)
    label = table_label(project, calibrated.table)
    asked = [label, request.name, asdict(request.bounds), latency, request.budget]
    if chosen.name != known:
        asked.append(chosen.sha256)
    key = content_key([sweep.key, *asked])
    return _Work(project, calibrated, chosen, prepared, exported, table, sweep, key)


def _file(project: Project) -> Path:
    return project.work_dir / "search.json"


def _journal(project: Project) -> Path:
    return project.work_dir / "search.jsonl"


def _searched(
    work: _Work,
    request: MixRequest,
    costs: Mapping[str, LayerCost],
    threads: int,
    feedback: Feedback,
) -> Found:
    project = work.project
    persons = resolve(work.chosen, project.calibration.images)
    asked = SearchRequest(
        sweep=work.sweep,
        calibration=tuple(crop.tensor for crop in crop_stream(persons, project.input)),
        costs=costs,
        bounds=request.bounds,
        journal=_journal(project),
        threads=threads,
        budget=request.budget,
    )
    return in_child("the search", feedback, search, asked)


def _write(
    work: _Work,
    path: Path,
    mix: Mix,
    chain: Chain,
    chosen: Tried,
    found: Found,
    costs: Mapping[str, LayerCost],
    profile: LatencyProfile,
) -> None:
    before = found.tried[0][1].sqnr_db
    after = None if chosen.effect is None else chosen.effect.sqnr_db
    detail = f"{chosen.name}: {chosen.fp32_macs:.1%} of the work in fp32"
    step = Step("fastest mix that holds the bounds", True, before, after, 0.0, detail)
    cpu = str(profile.machine.get("cpu", "another machine"))
    write_mixed(
        path,
        mix,
        chain,
        work.exported,
        replace(
            work.calibrated.origin,
            calibration_set=work.chosen.name,
            calibration_set_sha256=work.chosen.sha256,
        ),
        reasons(mix, chain, costs, cpu),
        step,
        overwrite=True,
    )
