"""The proof of a calibration set of the project: `quantkit select --verify`."""

from collections.abc import Callable
from dataclasses import asdict

from quantkit.data.coco import load_dataset
from quantkit.progress import Feedback
from quantkit.project.choosing import set_path
from quantkit.project.config import Project
from quantkit.project.image_journal import image_journal
from quantkit.selection.manifest import CalibrationSet, read_calibration_set
from quantkit.selection.verify import Verification, verify
from quantkit.storage import json_value


def verify_set(
    project: Project,
    name: str,
    *,
    model_sha256: str | None = None,
    replay: Callable[[CalibrationSet], CalibrationSet] | None = None,
    feedback: Feedback,
) -> Verification:
    """Read the images and the annotations of a set again and compare them with its manifest.

    Args:
        project: The project.
        name: Name of the set.
        model_sha256: Hash of the project's exported network, where it is at hand.
        replay: Makes the choice of a set again, on today's data.
        feedback: Told how the images are read.

    Raises:
        InputError: There is no such manifest, it is damaged, or an annotation file of the project
            cannot be used. Whatever else is wrong is a finding.
    """
    chosen = read_calibration_set(set_path(project, name))
    pool, evaluation = (
        load_dataset(data.annotations, data.images, keypoints=False)
        for data in (project.calibration, project.val)
    )
    return verify(
        chosen,
        pool,
        evaluation,
        model_sha256=model_sha256,
        preprocess=json_value(asdict(project.input)),
        replay=None if replay is None else lambda: replay(chosen),
        journal=image_journal(project),
        progress=feedback.progress,
    )
