"""The child of `step.run_step`: `python -m quantkit.model.export.child STEP ARGUMENTS RESULT`."""

import json
import sys
from pathlib import Path
from typing import Any, assert_never

from quantkit.errors import QuantkitError
from quantkit.model.export.step import Step


def main(step: Step, arguments: str, result: str) -> None:
    """Run one conversion here and write what it returned, or its error, to a file."""
    try:
        answer = {"value": _convert(step, json.loads(arguments))}
    except QuantkitError as error:
        answer = {"error": [type(error).__name__, str(error)]}
    Path(result).write_text(json.dumps(answer))


def _convert(step: Step, arguments: dict[str, Any]) -> object:
    match step:
        case "interface":
            from quantkit.model.export.interface import describe_onnx

            return describe_onnx(**arguments)
        case "to_onnx":
            from quantkit.model.export.to_onnx import convert

            return convert(**arguments)
        case "simplify":
            from quantkit.model.export.simplify import convert as simplify

            return simplify(**arguments)
        case _:
            assert_never(step)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
