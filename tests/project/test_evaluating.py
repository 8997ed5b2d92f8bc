from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends.process import ProcessRunner
from quantkit.backends.wire import Message
from quantkit.errors import InputError
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
    def opened(name: Any, artifact: Any, **options: Any) -> ProcessRunner:
        kind = Overflowing if name == "ncnn" else ProcessRunner
        return kind(name, artifact, **options)

    monkeypatch.setattr(measuring, "open_runner", opened)
    project = small_project(tmp_path / "project")
    comparison = evaluate_backends(project, backends=BOTH, threads=1, feedback=Feedback())
    fp32, int8 = comparison.rows
    assert (fp32.status, fp32.ap) == ("crashed", None)
    assert (int8.status, comparison.baseline) == ("ok", "ncnn-int8")
    (reason,) = reasons(comparison)
    assert reason.startswith("ncnn is crashed: ")
    assert "001002.png: annotation 10020: backend 'ncnn' gave NaN or infinity in 1 of" in reason


def refusing(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    def opened(name: Any, artifact: Any, **options: Any) -> ProcessRunner:
        if name == refused:
            message = "an operator that is not supported"
            raise InputError(message, path="net.param")
        return ProcessRunner(name, artifact, **options)

    monkeypatch.setattr(measuring, "open_runner", opened)


def test_a_backend_that_refuses_what_was_made_for_it_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project(tmp_path / "project")
    refusing(monkeypatch, "ncnn-int8")
    fp32, int8 = evaluate_backends(project, backends=BOTH, threads=1, feedback=Feedback()).rows
    assert fp32.status == "ok"
    assert (int8.status, int8.reason) == (
        "unavailable",
        "net.param: an operator that is not supported",
    )


def test_a_backend_that_refuses_what_the_user_gave_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project(tmp_path / "project")
    refusing(monkeypatch, "ncnn")
    with pytest.raises(InputError, match="not supported"):
        evaluate_backends(project, backends=BOTH, threads=1, feedback=Feedback())
