"""What a run behind each layer costs, timed on this machine before anything is promised."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantkit.errors import BackendDied
from quantkit.model.network import Network
from quantkit.sensitivity.isolated_map import Died, isolated_map
from quantkit.sensitivity.sessions import Measurement, Session
from quantkit.sensitivity.sweep import Sweep

FP32, INT8 = "fp32", "int8"
_TIMED = 10


@dataclass(frozen=True)
class Costs:
    """Seconds on one thread.

    Attributes:
        fp32: From each layer of the table to the judged outputs of one crop, in fp32.
        int8: The same in int8.
        start: To start a child process and load the networks.
    """

    fp32: dict[str, float]
    int8: dict[str, float]
    start: float


def open_timing(sweep: Sweep) -> Callable[[str], Measurement]:
    """Time runs behind some of the layers; the others lie on the lines between them."""
    session = Session(sweep)

    def measure(precision: str) -> Measurement:
        start = time.perf_counter()
        network = session.network if precision == FP32 else session.forms.int8
        found = _suffixes(session, network)
        return {"seconds": found, "took": time.perf_counter() - start}

    return measure


def timed_costs(sweep: Sweep) -> Costs:
    """Time runs on the first person of a sweep; a network that dies in int8 costs as in fp32.

    Raises:
        BackendDied: The fp32 network ends the runtime.
        InputError: It cannot be run.
    """
    start = time.perf_counter()
    found = dict(isolated_map(open_timing, (sweep.some(1),), (FP32, INT8), workers=1))
    wall = time.perf_counter() - start
    fp32, int8 = found[FP32], found[INT8]
    if isinstance(fp32, Died):
        message = f"ncnn died of {sweep.files.param.name} in fp32: {fp32.how}"
        raise BackendDied(message)
    if isinstance(int8, Died):
        int8 = fp32
    return Costs(fp32["seconds"], int8["seconds"], wall - fp32["took"] - int8["took"])


def _suffixes(session: Session, network: Network) -> dict[str, float]:
    names = session.sweep.table.layers
    order = {layer.name: number for number, layer in enumerate(network.param.layers)}
    names = tuple(sorted(names, key=order.__getitem__))
    chosen = sorted({round(k) for k in np.linspace(0, len(names) - 1, _TIMED)})
    walk = session.walk(network)
    timed: list[float] = []
    for place in chosen:
        alive = walk.before(names[place])
        start = time.perf_counter()
        session.judge.effect(walk.outputs(names[place], alive))
        timed.append((time.perf_counter() - start) / len(alive))
    places = np.arange(len(names))
    return dict(zip(names, np.interp(places, chosen, timed).tolist(), strict=True))
