"""The export step: what each backend runs."""

from contextlib import suppress
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from quantkit.backends import open_runner
from quantkit.backends.export_chain import export
from quantkit.backends.export_key import export_key
from quantkit.backends.export_report import ExportReport, reusable_report
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import QuantkitError
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project

SAMPLE_CROPS = 4
"""How many real crops each step of the export is compared on."""


def export_model(project: Project, feedback: Feedback) -> ExportReport:
    """Convert the model of a project, or reuse what an unchanged model became before.

    Args:
        project: The project; calibration crops are what the steps are compared on.
        feedback: Told each step.

    Raises:
        InputError: The model cannot be converted.
        GateFailed: A step changes the output too much.
        BackendDied: A conversion, or ncnn on what it was given, crashed.
        Unavailable: A package that the conversion needs is not installed.
    """
    samples = _samples(project)
    report = export(project.source, samples, project.work_dir, feedback=feedback)
    if isinstance(project.source, NcnnFiles):
        _check_pair(report.ncnn, samples[0])
    return report


def network_at_hand(project: Project) -> str | None:
    """Hash the exported network; nothing is exported for it.

    Returns:
        None where the model has not been exported as it is now, or cannot be read.
    """
    with suppress(QuantkitError):
        files = _exported(project)
        return None if files is None else read_network(files).sha256
    return None


def _exported(project: Project) -> NcnnFiles | None:
    if isinstance(project.source, NcnnFiles):
        return project.source
    key = export_key(project.source, _samples(project))
    found = reusable_report(project.work_dir, key)
    return None if found is None else found.ncnn


def _samples(project: Project) -> list[NDArray[np.float32]]:
    data = project.calibration
    persons = load_dataset(data.annotations, data.images, keypoints=False).persons[:SAMPLE_CROPS]
    return [crop.tensor for crop in islice(crops(persons, project.input), SAMPLE_CROPS)]


def _check_pair(files: NcnnFiles, sample: NDArray[np.float32]) -> None:
    """Refuse a pair that ncnn dies of, in a child process."""
    with open_runner("ncnn", files, threads=1) as runner:
        runner.run(sample)
