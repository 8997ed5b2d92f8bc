"""The export step: what each backend runs."""

from itertools import islice

from quantkit.backends.export_chain import export
from quantkit.backends.export_report import ExportReport
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import crops
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
        InputError: The model cannot be converted, or a step changes its output too much.
        Unavailable: A package that the conversion needs is not installed.
    """
    if isinstance(project.source, NcnnFiles):
        read_network(project.source)  # ncnn itself loads a .bin that is too long or holds NaN
    data = project.calibration
    persons = load_dataset(data.annotations, data.images, keypoints=False).persons[:SAMPLE_CROPS]
    samples = [crop.tensor for crop in islice(crops(persons, project.input), SAMPLE_CROPS)]
    return export(project.source, samples, project.work_dir, feedback=feedback)
