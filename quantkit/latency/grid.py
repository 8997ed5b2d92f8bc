"""The layers of a network, each distinct shape once, timed in fp32 and in int8 on this machine."""

from collections.abc import Sequence

import numpy as np

from quantkit.backends.child import in_child
from quantkit.latency.layer_shape import LayerShape
from quantkit.latency.machine import machine_facts
from quantkit.latency.profile import LatencyProfile, LayerTimes
from quantkit.latency.samples import Milliseconds, in_turn, rounds_within, spread
from quantkit.latency.single_layer import forms_of, layer_timer
from quantkit.progress import Feedback

STAGE = "layer times"
_AGAIN = "fp32 again"
_LEAST, _MOST = 5, 300


def measure_layers(
    shapes: Sequence[LayerShape], *, seconds: float = 10.0, feedback: Feedback
) -> LatencyProfile:
    """Time layers in a child process.

    Args:
        shapes: The layers.
        seconds: How long all may take together; a large layer is run a few times whatever that is.
        feedback: Told after each layer.

    Raises:
        InputError: ncnn cannot run a layer.
        BackendDied: ncnn died of a layer.
    """
    return in_child("the timing of layers", feedback, time_layers, tuple(shapes), seconds)


def time_layers(feedback: Feedback, shapes: Sequence[LayerShape], seconds: float) -> LatencyProfile:
    """Time layers in this process; see `measure_layers`."""
    facts = machine_facts()
    times: dict[LayerShape, LayerTimes] = {}
    noise: list[float] = []
    for number, shape in enumerate(shapes, start=1):
        found = _times(shape, seconds / len(shapes))
        noise.append(spread(found["fp32"], found.pop(_AGAIN)))
        times[shape] = LayerTimes(found)
        feedback.progress(STAGE, number, len(shapes))
    return LatencyProfile(facts, times, round(float(np.percentile(noise, 90)), 4) if noise else 0.0)


def _times(shape: LayerShape, seconds: float) -> dict[str, Milliseconds]:
    timers = {str(form): layer_timer(shape, form) for form in forms_of(shape)}
    # The same layer, loaded a second time: what differs is noise.
    timers[_AGAIN] = layer_timer(shape, "fp32")
    rounds = rounds_within(timers, seconds, least=_LEAST, most=_MOST)
    return {name: Milliseconds.of(found) for name, found in in_turn(timers, rounds).items()}
