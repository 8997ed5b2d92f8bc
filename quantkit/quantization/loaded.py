"""Layers that were asked to be int8 against those that are, after the files were written."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.model.export.native import python_environment, run_native
from quantkit.model.source import NcnnFiles
from quantkit.storage import read_json

_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class LoadedLayers:
    """What became of the layers of a table in a written network.

    Attributes:
        asked: The layers that should be int8, in the order of the .param.
        running: Those that are int8 in the files and that ncnn computes in int8.
        differing: What is wrong with the others, by layer, those included that nobody asked for.
    """

    asked: tuple[str, ...]
    running: tuple[str, ...]
    differing: Mapping[str, str]

    def lines(self) -> list[str]:
        """Say it, a line each.

        Example:
            >>> LoadedLayers(("a", "b"), ("a",), {"b": "is stored as fp32"}).lines()
            ['1 of the 2 layers asked for run in int8', '  b: is stored as fp32']
        """
        if not self.differing:
            return [f"all {len(self.asked)} layers asked for run in int8"]
        first = f"{len(self.running)} of the {len(self.asked)} layers asked for run in int8"
        return [first, *(f"  {name}: {what}" for name, what in self.differing.items())]


def loaded_layers(
    files: NcnnFiles, asked: Sequence[str], shape: tuple[int, int, int] | None = None
) -> LoadedLayers:
    """Read a written network back, run it once in a child process, and try each int8 layer.

    Args:
        files: The int8 network.
        asked: Names of the layers that its table makes int8.
        shape: Channels, height and width of its input; without it the whole is only loaded.

    Raises:
        InputError: A file cannot be read or run.
        BackendDied: ncnn died of the network.
    """
    with tempfile.TemporaryDirectory(prefix="quantkit-") as name:
        result = Path(name, "result.json")
        request = {
            "param": str(files.param.resolve()),
            "bin": str(files.bin.resolve()),
            "input": files.input,
            "outputs": files.outputs,
            "shape": shape,
            "result": str(result),
        }
        command = (sys.executable, "-m", "quantkit.quantization.loaded_child", json.dumps(request))
        run_native(
            f"ncnn on {files.param.name}",
            command,
            folder=Path(name),
            timeout=_PATIENCE_S,
            environment=python_environment(),
        )
        answer = read_json(result)
    if "error" in answer:
        raise InputError(answer["error"])
    return _compared(asked, answer["layers"])


def _compared(asked: Sequence[str], found: Mapping[str, Mapping[str, Any]]) -> LoadedLayers:
    wanted = set(asked)
    differing: dict[str, str] = {}
    for name in dict.fromkeys([*found, *asked]):
        facts = found.get(name)
        if name in wanted:
            problem = "is not in the network" if facts is None else facts["problem"]
        else:
            problem = "is int8, but was not asked for" if facts and facts["term"] else None
        if problem:
            differing[name] = problem
    running = tuple(name for name in found if name in wanted and name not in differing)
    return LoadedLayers(tuple(asked), running, differing)
