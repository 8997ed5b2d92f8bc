"""What a run behind each layer costs, timed on this machine before anything is promised."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantkit.errors import BackendDied
from quantkit.model.network import Network
from quantkit.sensitivity.isolated_map import Died, IsolatedPool
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
        start: To load the networks in a child process.
    """

    fp32: dict[str, float]
    int8: dict[str, float]
    start: float


def open_timing(sweep: Sweep) -> Callable[[str], Measurement]:
    """Time runs behind some of the layers; the others lie on the lines between them."""
    start = time.perf_counter()
    session = Session(sweep)
    opened = time.perf_counter() - start

    def measure(precision: str) -> Measurement:
        network = session.network if precision == FP32 else session.forms.int8
        return {"seconds": _suffixes(session, network), "opened": opened}

    return measure


def timed_costs(sweep: Sweep, pool: IsolatedPool) -> Costs:
    """Time runs on the first person of a sweep; a network that dies in int8 costs as in fp32.

    Raises:
        BackendDied: The fp32 network ends the runtime.
        InputError: It cannot be run.
    """
    found: dict[str, Measurement] = {}
    # One after the other: two at a time would slow each other down.
    for precision in (FP32, INT8):
        for _, one in pool.map(open_timing, (sweep.some(1),), (precision,)):
            if not isinstance(one, Died):
                found[precision] = one
            elif precision == FP32:
                message = f"ncnn died of {sweep.files.param.name} in fp32: {one.how}"
                raise BackendDied(message)
    fp32 = found[FP32]
    int8 = found.get(INT8, fp32)
    return Costs(fp32["seconds"], int8["seconds"], fp32["opened"])


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
