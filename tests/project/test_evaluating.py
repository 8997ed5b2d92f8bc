from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends.process import ProcessRunner
from quantkit.backends.wire import Message
from quantkit.progress import Feedback
from quantkit.project import measuring
from quantkit.project.evaluating import evaluate_backends
from quantkit.report.sentences import reasons
from tests.projects import small_project

BOTH = ("ncnn", "ncnn-int8")


class Overflowing(ProcessRunner):
    """A real runner whose third answer holds a NaN."""

    answers = 0

    def _outputs(self, answer: Message) -> Any:
        self.answers += 1
        if self.answers == 3:
            answer[1][0][4, 2, 2] = np.nan
        return super()._outputs(answer)


def test_a_network_that_computes_nonsense_is_a_row_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: Any, artifact: Any, *, threads: int) -> ProcessRunner:
        kind = Overflowing if name == "ncnn" else ProcessRunner
        return kind(name, artifact, threads=threads)

    monkeypatch.setattr(measuring, "open_runner", opened)
    project = small_project(tmp_path / "project")
    comparison = evaluate_backends(project, backends=BOTH, threads=1, feedback=Feedback())
    fp32, int8 = comparison.rows
    assert (fp32.status, fp32.ap) == ("crashed", None)
    assert (int8.status, comparison.baseline) == ("ok", "ncnn-int8")
    (reason,) = reasons(comparison)
    assert reason.startswith("ncnn is crashed: ")
    assert "001002.png: annotation 10020: backend 'ncnn' gave NaN or infinity in 1 of" in reason
