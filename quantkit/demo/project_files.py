"""The embedded default as an ordinary project folder: model, rendered data and project file."""

from importlib.resources import files
from pathlib import Path

from quantkit.demo.people import write_dataset
from quantkit.errors import InputError
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.config import PROJECT_FILE
from quantkit.storage import must_write, sha256_bytes, write_result

MODEL = "hourglass_small_coco-people_128x128"

PROJECT = f"""\
# The embedded default of quantkit: a small MMPose hourglass and the rendered people it sees.
[model]
name = "hourglass_small"
mmpose = {{ config = "model/{MODEL}.py", checkpoint = "model/{MODEL}.pth" }}

[input]                 # what a person crop becomes
size = [128, 128]       # width, height
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
color = "rgb"
padding = 1.25
udp = false

[head]
type = "heatmap"
decode = "default"      # argmax and a quarter shift

[data.val]
annotations = "data/annotations/person_keypoints_val.json"
images = "data/val"
boxes = "gt"

[data.calibration]
annotations = "data/annotations/person_keypoints_calibration.json"
images = "data/calibration"
"""


def materialize(folder: Path, feedback: Feedback, *, overwrite: bool = False) -> Project:
    """Write the embedded default into a folder, or open it where it lies already.

    Args:
        folder: The project folder; made if it is absent.
        feedback: Told how the rendering goes.
        overwrite: Replace a model or a project file that has other content.

    Raises:
        InputError: The folder holds another project, or cannot be written.
    """
    # Nothing is written into a folder that holds another project, nor over data of one.
    path, data = folder / PROJECT_FILE, folder / "data"
    is_new = must_write(path, sha256_bytes(PROJECT.encode()), overwrite=overwrite)
    if is_new and data.exists() and not overwrite:
        message = "is not the demo's data; give --overwrite or another folder"
        raise InputError(message, path=data)
    for name in (f"{MODEL}.py", f"{MODEL}.pth"):
        content = files("quantkit.demo").joinpath(name).read_bytes()
        write_result(folder / "model" / name, content, overwrite=overwrite)
    write_result(path, PROJECT, overwrite=overwrite)
    write_dataset(data, "calibration", feedback.progress)
    write_dataset(data, "val", feedback.progress)
    return load_project(folder)
