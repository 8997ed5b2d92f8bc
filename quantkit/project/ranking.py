"""The sensitivity step: layers ranked on crops of the calibration set."""

from collections.abc import Mapping
from importlib.metadata import version

from quantkit.calibration.table import read_table
from quantkit.data.preprocess import crops as crop_stream
from quantkit.model.macs import macs, total_macs
from quantkit.model.network import Network, read_network
from quantkit.model.shape_rule import Shape
from quantkit.model.shapes import blob_shapes
from quantkit.progress import Feedback
from quantkit.project.calibrating import ready_table
from quantkit.project.choosing import open_set
from quantkit.project.config import Project
from quantkit.selection.resolve import resolve
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.ranking import (
    ALL_LAYERS,
    LayerSweep,
    Measurement,
    forward_seconds,
    sweep_layers,
)
from quantkit.sensitivity.report import LayerSensitivity, SensitivityReport
from quantkit.storage import sha256_bytes, write_atomically


def rank_layers(
    project: Project,
    *,
    table: str = "best",
    effort: Effort | None = None,
    workers: int = 2,
    feedback: Feedback,
) -> SensitivityReport:
    """Put one layer at a time in int8 and rank the layers by the SQNR of the network's output.

    Every finished layer is kept, so that a stopped run goes on where it was. It is judged on crops
    of the calibration set, never on evaluation data.

    Args:
        project: The project.
        table: Name of the calibration table; it is made if it is a method's name.
        effort: How much is measured.
        workers: Child processes.
        feedback: Told what it will cost, and how it goes.

    Raises:
        InputError: The model, the table or the data cannot be used.
    """
    crops = (effort or Effort()).crops
    calibrated = ready_table(project, table, threads=workers, feedback=feedback)
    network = read_network(calibrated.prepared)
    scales = read_table(calibrated.table)
    chosen = open_set(project, calibrated.calibration_set)
    persons = resolve(chosen, project.calibration.images)
    spread = persons[:: max(1, len(persons) // crops)][:crops]
    samples = [crop.tensor for crop in crop_stream(spread, project.input)]
    shapes = blob_shapes(network.param, {calibrated.prepared.input: samples[0].shape})
    sweep = LayerSweep(calibrated.prepared, scales, samples)
    versions = {name: version(name) for name in ("quantkit", "ncnn")}
    runs = (len(scales.layers) + 1) * len(samples)
    seconds = runs * forward_seconds(network, sweep) / workers
    feedback.note(
        f"sensitivity: {len(scales.layers)} layers x {len(samples)} crops, about {seconds:.0f} s"
    )
    measured = sweep_layers(
        sweep,
        sweep.key(network.sha256, versions),
        project.work_dir / "sensitivity.jsonl",
        workers=workers,
        progress=feedback.progress,
    )
    report = SensitivityReport(
        model=project.name,
        model_sha256=network.sha256,
        table=table,
        table_sha256=sha256_bytes(scales.text().encode()),
        calibration_set=chosen.name,
        crops=len(samples),
        ap_crops=0,
        labels=None,
        all_int8=_effect(measured.pop(ALL_LAYERS)),
        layers=_ranked(measured, network, shapes),
        left_out=tuple(calibrated.left_out),
    )
    write_atomically(project.work_dir / "sensitivity.json", report.text())
    return report


def _ranked(
    measured: dict[str, Measurement], network: Network, shapes: Mapping[str, Shape]
) -> tuple[LayerSensitivity, ...]:
    total = total_macs(network.param.layers, shapes)
    layers = [
        LayerSensitivity(
            name=name,
            type=network.param.layer(name).type,
            macs_share=round(macs(network.param.layer(name), shapes) / total, 6),
            weights_share=0.0,
            alone=_effect(found),
        )
        for name, found in measured.items()
    ]
    return tuple(sorted(layers, key=lambda layer: layer.rank_key))


def _effect(found: Measurement) -> Effect:
    return Effect(sqnr_db=found["sqnr_db"], died=found["died"])
