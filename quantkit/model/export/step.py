"""A conversion, started in a Python of its own and waited for.

torch, mmdeploy and onnxsim print, warn, change global state and can crash: none of that belongs
into the process of a command.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

from quantkit.errors import BackendDied, InputError, QuantkitError, Unavailable
from quantkit.model.export.native import NativeRun, python_environment, run_native

Step = Literal["interface", "to_onnx", "simplify"]

_ERRORS: Final[dict[str, type[QuantkitError]]] = {
    kind.__name__: kind for kind in (InputError, Unavailable, BackendDied)
}


def run_step(
    step: Step, who: str, arguments: dict[str, Any], timeout: float
) -> tuple[Any, NativeRun]:
    """Run one conversion in a child process.

    Args:
        step: Which conversion.
        who: The subject of error messages.
        arguments: Its keyword arguments, as JSON values.
        timeout: Seconds after which it counts as hung.

    Returns:
        What the conversion returned, and what it used.

    Raises:
        InputError: As the conversion raised it.
        Unavailable: A package that it needs is missing.
        BackendDied: It crashed or hung.
    """
    with tempfile.TemporaryDirectory(prefix="quantkit-") as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-P", "-m", "quantkit.model.export.child"]
        command += [step, json.dumps(arguments), str(result)]
        used = run_native(
            who, command, folder=Path.cwd(), timeout=timeout, environment=python_environment()
        )
        answer = json.loads(result.read_text())
    if "error" in answer:
        kind, message = answer["error"]
        raise _ERRORS[kind](message)
    return answer["value"], used
