"""A Python function in a child process: native code may crash there, and only there.

Both sides are this program, so what goes through the pipes is pickled; nothing from elsewhere is.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, BinaryIO, Concatenate, Final, ParamSpec, TypeVar

from quantkit.backends.streams import take_streams
from quantkit.errors import BackendDied, QuantkitError
from quantkit.model.export.native import cause_of_death, last_words, python_environment
from quantkit.progress import Feedback

_CHILD: Final = (sys.executable, "-P", "-m", "quantkit.backends.child")

Given = ParamSpec("Given")
Result = TypeVar("Result")


def in_child(
    who: str,
    feedback: Feedback,
    work: Callable[Concatenate[Feedback, Given], Result],
    *given: Given.args,
    **named: Given.kwargs,
) -> Result:
    """Call a function of a module in a child process.

    Args:
        who: The subject of the error message if it dies: "the calibration".
        feedback: Told what the function tells its first argument.
        work: The function; its first argument is a `Feedback`.
        given: Its other arguments.
        named: And those by name.

    Returns:
        What it returns.

    Raises:
        QuantkitError: What it raises.
        BackendDied: The child was ended by a signal, or by an error that is a mistake here.
    """
    with tempfile.TemporaryFile() as stderr:
        # Its own session: Ctrl-C in the terminal reaches the parent only, which ends the child.
        child = subprocess.Popen(
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=python_environment(),
            start_new_session=True,
        )
        try:
            _send(child, (work, given, named))
            found: Result = _result(who, child, feedback, stderr)
            return found
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()


def _send(child: subprocess.Popen[bytes], call: object) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(pickle.dumps(sys.path) + pickle.dumps(call))
        child.stdin.flush()
    except BrokenPipeError:
        return  # What it died of shows when its answer is awaited.


def _result(who: str, child: subprocess.Popen[bytes], feedback: Feedback, stderr: IO[bytes]) -> Any:
    assert child.stdout is not None
    while True:
        try:
            kind, *values = pickle.load(child.stdout)
        except (EOFError, pickle.UnpicklingError):
            message = f"{who} died: {cause_of_death(child.wait())}{last_words(stderr)}"
            raise BackendDied(message) from None
        match kind:
            case "progress":
                feedback.progress(*values)
            case "note":
                feedback.note(*values)
            case "error":
                raise values[0]
            case _:
                return values[0]


def main() -> None:
    """Serve one call of the parent."""
    source, sink = take_streams()
    sys.path[:] = pickle.load(source)
    work, given, named = pickle.load(source)
    threading.Thread(target=_leave_with_parent, args=(source,), daemon=True).start()

    def tell(*message: object) -> None:
        sink.write(pickle.dumps(message))
        sink.flush()

    def progress(stage: str, done: int, total: int) -> None:
        tell("progress", stage, done, total)

    feedback = Feedback(progress, lambda note: tell("note", note))
    try:
        result = work(feedback, *given, **named)
    except QuantkitError as error:
        tell("error", error)
    else:
        tell("result", result)


def _leave_with_parent(source: BinaryIO) -> None:
    source.read()
    os._exit(0)


if __name__ == "__main__":
    main()
