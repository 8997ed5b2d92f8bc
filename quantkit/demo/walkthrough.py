"""The whole way on the embedded default: export, calibrate, rank the layers, evaluate."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.demo.project_files import materialize
from quantkit.evaluation.comparison import Comparison
from quantkit.progress import Feedback
from quantkit.project.calibrating import calibrate_model
from quantkit.project.calibration_request import BEST, CalibrationRequest
from quantkit.project.choosing import set_path
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.ranking import rank_layers
from quantkit.project.selection_request import SelectionRequest
from quantkit.sensitivity.report import SensitivityReport

_QUICK = "kl"
"""A table that any processor makes alike; the one of `best` depends on how a processor rounds. So
do sets that are measured: the demo's set is drawn at random."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, and where it lies.

    Attributes:
        comparison: The table of all backends.
        sensitivity: The ranking of the layers.
        files: What was written: a description and its path.
    """

    comparison: Comparison
    sensitivity: SensitivityReport
    files: tuple[tuple[str, Path], ...]


def walkthrough(
    folder: Path, *, threads: int, feedback: Feedback, overwrite: bool = False
) -> DemoResult:
    """Run every step on the embedded default; unchanged steps are reused.

    Args:
        folder: The project folder; made if it is absent.
        threads: Worker threads.
        feedback: Told how it goes.
        overwrite: Replace what an earlier version wrote there.

    Raises:
        Unavailable: mmpose, torch or pnnx is not installed.
    """
    feedback.note("the whole way on the embedded default: two to five minutes on two cores")
    project = materialize(folder, feedback, overwrite=overwrite)
    quick, calibrated = (
        calibrate_model(
            project,
            # Its figures are printed in the README: nothing may be left out on a slow machine.
            CalibrationRequest(method=method, selection=SelectionRequest(), budget_s=None),
            threads=threads,
            feedback=feedback,
            overwrite=overwrite,
        )
        for method in (_QUICK, BEST)
    )
    assert calibrated.calibration_set is not None
    ranking = rank_layers(project, table=BEST, workers=threads, feedback=feedback)
    comparison = evaluate_backends(project, table=BEST, threads=threads, feedback=feedback)
    return DemoResult(
        comparison=comparison,
        sensitivity=ranking,
        files=(
            ("project file", folder / "quantkit.toml"),
            ("calibration set", set_path(project, calibrated.calibration_set)),
            ("quick int8 table", quick.table),
            ("best int8 table", calibrated.table),
            ("its network", calibrated.prepared.param),
            ("int8 model", calibrated.int8.param),
            ("fp32 model", calibrated.fp32.param),
            ("layer ranking", project.work_dir / "sensitivity.json"),
            ("evaluation", project.work_dir / "eval" / "eval.md"),
            ("keypoints drawn", project.work_dir / "eval" / "predictions.png"),
        ),
    )
