"""The command line, run in this process."""

import json
import sys
from typing import Any

import pytest

from quantkit.cli import main
from quantkit.project import Project


class Command:
    """Runs `quantkit` in the project's folder and keeps what it printed.

    Tables are KL's where no other is asked for: making the default one takes ten seconds.
    """

    def __init__(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        self.project = project
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        quick = ("--table", "kl") if arguments[0] in ("eval", "sensitivity") else ()
        sys.argv = ["quantkit", *arguments, *(() if "--table" in arguments else quick)]
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        printed = self._capsys.readouterr()
        return (code if isinstance(code, int) else 0), printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)
