"""A runner whose network lives in a child process: a native crash there is an error here."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, Self

from quantkit.backends.artifact import Artifact, artifact_to_json
from quantkit.backends.feeder import Feeder
from quantkit.backends.names import BackendName
from quantkit.backends.runner import Input, Runner, Tensor, check_input, check_outputs
from quantkit.backends.wire import Message
from quantkit.backends.worker_process import WORKER, WorkerProcess
from quantkit.data.normalise import Normalisation
from quantkit.errors import BackendDied, InputError, QuantkitError, Unavailable

PATIENCE_S: Final = 300.0
"""How long a worker may be silent; loading hourglass52 on a busy machine takes a minute."""

_BUILDING_S: Final[dict[str, float]] = {"tensorrt": 3600.0, "tensorrt-fp16": 3600.0}
"""How long loading may take where an engine is built, which happens once for a network."""

_AHEAD: Final = 6
_ERRORS: Final[dict[str, type[QuantkitError]]] = {
    kind.__name__: kind for kind in (InputError, Unavailable, BackendDied)
}


class ProcessRunner:
    """Implements `Runner` over a `WorkerProcess`; one thread of the parent may use it at a time.

    Args:
        name: The backend.
        artifact: The network in the form that the backend runs.
        threads: Threads that the worker uses.
        timeout: Seconds after which loading or one run counts as a hang; 300 by default, and an
            hour for a load that builds an engine.
        normalisation: Lets inputs be grey levels: a quarter of the bytes on the way to the worker.
        command: How to start the worker.

    Raises:
        InputError: The network cannot be loaded.
        Unavailable: The backend cannot run here.
        BackendDied: The worker died or hung while it loaded the network.
    """

    def __init__(
        self,
        name: BackendName,
        artifact: Artifact,
        *,
        threads: int = 2,
        timeout: float | None = None,
        normalisation: Normalisation | None = None,
        command: Sequence[str] = WORKER,
    ) -> None:
        self.name: str = name
        self.normalisation = normalisation
        self._who = f"backend '{name}'"
        self._worker = WorkerProcess(self._who, command, timeout or PATIENCE_S)
        self._numbers = itertools.count(1)
        request = {
            "do": "open",
            "backend": name,
            "artifact": artifact_to_json(artifact),
            "threads": threads,
            "normalise": None if normalisation is None else asdict(normalisation),
        }
        try:
            self._worker.send(request, [])
            loading = timeout or _BUILDING_S.get(name, PATIENCE_S)
            facts = _checked(self._worker.receive(loading)[0])
        except BaseException:
            self._worker.close()
            raise
        self.input_shape = tuple(facts["input_shape"])
        self.outputs = tuple(facts["outputs"])
        self.run_threads = int(facts["run_threads"])
        self.description = str(facts["description"])
        self._window = int(facts["concurrency"]) + _AHEAD

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and wait until it is gone."""
        self._worker.close()

    def run(self, tensor: Input) -> tuple[Tensor, ...]:
        """Run one input.

        Args:
            tensor: Shape (channels, height, width).

        Returns:
            The outputs, without the batch axis.

        Raises:
            InputError: The input does not fit.
            NotFinite: An output is not finite.
            BackendDied: The worker died, or hung for longer than the time limit.
        """
        return self._outputs(self._ask(tensor))

    def seconds(self, tensor: Input) -> float:
        """Run one input and return the seconds that the network itself took, without the pipe.

        Raises:
            InputError: The input does not fit.
            BackendDied: The worker died, or hung for longer than the time limit.
        """
        return float(self._ask(tensor)[0]["seconds"])

    def stream(self, tensors: Iterable[Input]) -> Iterator[tuple[Tensor, ...]]:
        """Run many inputs; a second thread takes them from `tensors` while earlier ones run.

        Args:
            tensors: Inputs of shape (channels, height, width); iterated in another thread, never
                more than a few ahead of the results.

        Yields:
            The outputs of each input, in order.

        Raises:
            InputError: An input does not fit.
            NotFinite: An output is not finite.
            BackendDied: The worker died, or hung for longer than the time limit.
        """
        checked = (self._fitting(tensor) for tensor in tensors)
        feeder = Feeder(checked, self._numbers, self._send, self._window)
        try:
            for number in feeder:
                outputs = self._outputs(self._answer(number))
                feeder.answered()
                yield outputs
        except (InputError, GeneratorExit):
            raise
        except BaseException:
            # The feeder may be stuck in a full pipe to a hung worker; only its end frees it.
            self._worker.kill()
            raise
        finally:
            feeder.stop()

    def _fitting(self, tensor: Input) -> Input:
        check_input(self._who, tensor, self.input_shape)
        return tensor

    def _ask(self, tensor: Input) -> Message:
        number = next(self._numbers)
        self._send(number, self._fitting(tensor))
        return self._answer(number)

    def _send(self, number: int, tensor: Input) -> None:
        self._worker.send({"do": "run", "id": number}, [tensor])

    def _answer(self, number: int) -> Message:
        while True:
            header, arrays = self._worker.receive()
            # Answers to a stream that was left before its end are still in the pipe.
            if header.get("id") == number:
                return _checked(header), arrays

    def _outputs(self, answer: Message) -> tuple[Tensor, ...]:
        outputs = tuple(answer[1])
        check_outputs(self._who, self.outputs, outputs)
        return outputs


def open_runner(
    name: BackendName,
    artifact: Artifact,
    *,
    threads: int = 2,
    timeout: float | None = None,
    normalisation: Normalisation | None = None,
) -> Runner:
    """Load a network on a backend, in a child process; use it as a context manager.

    Args:
        name: The backend.
        artifact: The network: an `MMPoseSource` for pytorch, `NcnnFiles` for ncnn and ncnn-int8,
            an `OnnxFile` for the others.
        threads: Threads that the backend uses.
        timeout: Seconds after which loading or one run counts as a hang; 300 by default, and an
            hour for a load that builds an engine.
        normalisation: How the worker normalises inputs that are grey levels (uint8); without it
            inputs have to be normalised.

    Raises:
        InputError: The network cannot be loaded.
        Unavailable: The backend cannot run here.
        BackendDied: The worker died or hung while it loaded the network.
    """
    return ProcessRunner(
        name, artifact, threads=threads, timeout=timeout, normalisation=normalisation
    )


def availability(name: BackendName, *, timeout: float = PATIENCE_S) -> str | None:
    """Try in a child process whether a backend's packages load.

    Returns:
        Why the backend cannot run here and what to do about it; None where it can.
    """
    worker = WorkerProcess(f"backend '{name}'", WORKER, timeout)
    try:
        worker.send({"do": "probe", "backend": name}, [])
        _checked(worker.receive()[0])
    except QuantkitError as error:
        return str(error)
    finally:
        worker.close()
    return None


def _checked(header: dict[str, Any]) -> dict[str, Any]:
    if "error" not in header:
        return header
    kind, message = header["error"]
    raise _ERRORS.get(kind, BackendDied)(message)
