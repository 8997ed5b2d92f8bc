"""The export step: what each backend runs."""

from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.export_chain import export, export_onnx
from quantkit.backends.export_key import export_key
from quantkit.backends.export_report import (
    ExportReport,
    OnnxReport,
    last_report,
    reusable_report,
)
from quantkit.backends.first_forward import check_first_forward, runnable
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import InputError, QuantkitError
from quantkit.model.eligibility import runs_int8
from quantkit.model.network import read_network
from quantkit.model.param import read_param
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.storage import from_here

SAMPLE_CROPS = 4
"""How many real crops each step of the export is compared on."""
_SILENT: Final = Feedback()


def export_model(project: Project, feedback: Feedback) -> ExportReport:
    """Convert the model of a project, or reuse what an unchanged model became before.

    Args:
        project: The project; calibration crops are what the steps are compared on.
        feedback: Told each step.

    Raises:
        InputError: The model cannot be converted, or its outputs in ncnn cannot serve as a
            reference; which, and why, is named.
        GateFailed: A step changes the output too much.
        BackendDied: A conversion, or ncnn on what it was given, crashed.
        Unavailable: A package that the conversion needs is not installed.
    """
    samples = _samples(project, feedback)
    report = export(project.source, samples, project.work_dir, feedback=feedback)
    if runs_int8(read_param(report.ncnn.param).layers):
        # It is no reference; it can be evaluated, and whoever needs fp32 says so.
        return report
    check_first_forward(
        report.ncnn,
        samples,
        project.work_dir,
        key=report.key,
        compared=report.onnx is not None,
        feedback=feedback,
    )
    return report


def fp32_network(project: Project, feedback: Feedback) -> NcnnFiles:
    """Find the fp32 network of a project where nothing of its data is needed.

    Args:
        project: The project; its data is read only if its model has to be converted.
        feedback: Told how the export goes, and where one is taken unseen.

    Raises:
        InputError: The model cannot be converted, or there is no data to convert it on.
    """
    source = project.source
    if isinstance(source, NcnnFiles):
        shaped = [np.zeros(project.input.shape, np.float32)]
        return export(source, shaped, project.work_dir, feedback=feedback).ncnn
    try:
        _samples(project)
    except InputError:
        report = last_report(project.work_dir)
        if report is None:
            raise
        folder = from_here(project.work_dir)
        feedback.note(f"the network in {folder} is taken as it lies, as the data cannot be read")
        return report.ncnn
    return export_model(project, feedback).ncnn


def export_model_to_onnx(
    project: Project, source: MMPoseSource | OnnxFile, feedback: Feedback
) -> OnnxReport:
    """Convert the model of a project only as far as ONNX, or reuse what an earlier export made.

    Args:
        project: The project.
        source: Its network.
        feedback: Told each step.

    Raises:
        InputError: The source is no such network.
        GateFailed: The exporter changes the output too much.
        BackendDied: The exporter crashed.
        Unavailable: A package that the conversion needs is not installed.
    """
    samples = _samples(project, feedback)
    return export_onnx(source, samples, project.work_dir, feedback=feedback)


def network_at_hand(project: Project) -> str | None:
    """Hash the exported network; nothing is exported for it.

    Returns:
        None where the model has not been exported as it is now, or cannot be read.
    """
    with suppress(QuantkitError):
        samples = _samples(project)
        if isinstance(project.source, NcnnFiles):
            return runnable(project.source, samples[0].shape)[0].sha256
        found = reusable_report(project.work_dir, export_key(project.source, samples))
        return None if found is None else read_network(found.ncnn).sha256
    return None


def _samples(project: Project, feedback: Feedback = _SILENT) -> list[NDArray[np.float32]]:
    """Crops to compare two forms of a network on; nothing is chosen or tuned by them.

    They are calibration crops. Where those cannot be read, crops of the evaluation data do as well,
    and noise where there are none either.
    """
    for what, data in (("calibration", project.calibration), ("evaluation", project.val)):
        try:
            persons = load_dataset(data.annotations, data.images, keypoints=False).persons
            return [x.tensor for x in crops(persons[:SAMPLE_CROPS], project.input)]
        except InputError as error:
            feedback.note(f"forms are not compared on {what} crops: {error}")
    rng = np.random.default_rng(0)
    channels, (width, height) = len(project.input.mean), project.input.size
    noise = rng.standard_normal((SAMPLE_CROPS, channels, height, width)).astype(np.float32)
    return list(noise)
