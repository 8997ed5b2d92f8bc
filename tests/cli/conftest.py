"""The commands, each test in the folder of a small project of its own."""

import sys
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.projects import small_project


@pytest.fixture
def quantkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    project = small_project(tmp_path / "project")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "argv", [])
    return Command(project, capsys)
