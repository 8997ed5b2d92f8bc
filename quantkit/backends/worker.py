"""The child process that runs one network: `python -m quantkit.backends.worker`.

It reads requests from its standard input and answers them, in order, on its standard output (see
`quantkit.backends.wire`). It needs numpy and the backend's package, nothing else of quantkit's
dependencies. It ends when its input ends, so that no parent's death leaves it behind.

Requests: {"do": "probe", "backend"}, {"do": "open", "backend", "artifact", "threads", "normalise"}
first; then {"do": "run", "id"} with one array: the network's input, or grey levels where
"normalise" is {"mean", "std"}. Answers: {"ok": true, ...} or {"error": [class, message]}.
"""

import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.artifact import artifact_from_json
from quantkit.backends.runner import Session, Tensor
from quantkit.backends.sessions import load_session, probe
from quantkit.backends.streams import take_streams
from quantkit.backends.wire import Message, MessageError, receive, send
from quantkit.data.normalise import Normalisation
from quantkit.errors import InputError, QuantkitError


@dataclass(frozen=True)
class _Network:
    session: Session
    backend: str
    normalisation: Normalisation | None


def main() -> None:
    """Serve the parent until its end of the pipe is closed."""
    source, sink = take_streams()
    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, requests), daemon=True).start()
    header, _ = requests.get()
    try:
        session = _first(header, sink)
    except Exception as error:
        _send(sink, _failure(error, header["backend"]), [])
        return
    if session is not None:
        network = _Network(session, header["backend"], _normalisation(header["normalise"]))
        _serve(network, requests, sink)


def _read(source: BinaryIO, requests: "queue.SimpleQueue[Message]") -> None:
    def fill(view: memoryview) -> None:
        while view:
            count = source.readinto(view)  # type: ignore[attr-defined]
            if not count:
                os._exit(0)
            view = view[count:]

    try:
        while True:
            requests.put(receive(fill))
    except MessageError:
        os._exit(2)


def _first(header: dict[str, Any], sink: BinaryIO) -> Session | None:
    if header["do"] == "probe":
        probe(header["backend"])
        _send(sink, {"ok": True}, [])
        return None
    artifact = artifact_from_json(header["artifact"])
    session = load_session(header["backend"], artifact, header["threads"])
    facts = {
        "input_shape": list(session.input_shape),
        "outputs": list(session.outputs),
        "concurrency": session.concurrency,
        "run_threads": session.run_threads,
        "description": session.description,
    }
    _send(sink, {"ok": True} | facts, [])
    return session


def _normalisation(value: dict[str, Any] | None) -> Normalisation | None:
    return None if value is None else Normalisation(tuple(value["mean"]), tuple(value["std"]))


def _serve(network: _Network, requests: "queue.SimpleQueue[Message]", sink: BinaryIO) -> None:
    answers: queue.SimpleQueue[Future[Message]] = queue.SimpleQueue()
    threading.Thread(target=_write, args=(answers, sink), daemon=True).start()
    with ThreadPoolExecutor(network.session.concurrency) as pool:
        while True:
            answers.put(pool.submit(_run, network, requests.get()))


def _run(network: _Network, request: Message) -> Message:
    header, (array,) = request
    try:
        tensor = _input(network, array)
        start = time.perf_counter()
        outputs = network.session.run(tensor)
        seconds = time.perf_counter() - start
    except Exception as error:
        return _failure(error, network.backend) | {"id": header["id"]}, []
    return {"ok": True, "id": header["id"], "seconds": seconds}, list(outputs)


def _input(network: _Network, array: NDArray[Any]) -> Tensor:
    if array.dtype == np.float32:
        return array
    if network.normalisation is None:
        message = f"backend '{network.backend}' takes float32, got {array.dtype}"
        raise InputError(message)
    return network.normalisation(array)


def _write(answers: "queue.SimpleQueue[Future[Message]]", sink: BinaryIO) -> None:
    while True:
        header, arrays = answers.get().result()
        try:
            _send(sink, header, arrays)
        except OSError:
            os._exit(0)


def _send(sink: BinaryIO, header: dict[str, Any], arrays: Sequence[Tensor]) -> None:
    send(sink.write, header, arrays)
    sink.flush()


def _failure(error: Exception, backend: str) -> dict[str, Any]:
    message = " ".join(str(error).split())
    if isinstance(error, QuantkitError):
        return {"error": [type(error).__name__, message]}
    message = f"backend '{backend}' failed: {type(error).__name__}: {message[:300]}"
    return {"error": ["BackendDied", message]}


if __name__ == "__main__":
    main()
