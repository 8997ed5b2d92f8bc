"""The work on single layers, done in child processes by an `IsolatedPool`.

Each session loads the networks once and walks through them; the layers that it is asked for must
come in the order of the network. So a layer costs the runs behind it, and no loading but its own.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.sensitivity.facts import layer_facts
from quantkit.sensitivity.judge import Judge
from quantkit.sensitivity.layer_forms import LayerForms, rounded_input, run_layer
from quantkit.sensitivity.signals import signal, values_of
from quantkit.sensitivity.sweep import Sweep
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs
from quantkit.tuning.suffix import Array, Walk

ALL_LAYERS = "*"
"""The task that puts every layer of the table in int8."""

Measurement = dict[str, Any]
Measure = Callable[[str], Measurement]


def open_alone(sweep: Sweep) -> Measure:
    """Measure what a layer alone in int8 does, its weights and its input apart, and its facts."""
    session = Session(sweep)
    walk = session.walk(session.network)
    graph = Graph(session.network.param)

    def measure(name: str) -> Measurement:
        layer = session.network.param.layer(name)
        alive = walk.before(name)
        clean = session.originals.tops(name)
        inputs = [blobs[layer.bottoms[0]] for blobs in alive]

        def tried(net: NcnnNet, changed: Sequence[Array] | None = None) -> Tried:
            bottom = {layer.bottoms[0]: changed} if changed else {}
            return run_layer(net, layer.bottoms, layer.tops, alive, bottom)

        def effect(made: Tried) -> Measurement:
            return asdict(session.judge.effect(walk.behind(name, alive, made)))

        int8 = tried(session.forms.in_int8(name))
        scale = session.forms.bottom_scale(name)
        rounded = [rounded_input(one, scale) for one in inputs]
        return {
            "alone": effect(int8),
            "own": _signal(clean, int8, layer),
            "weights": effect(tried(session.forms.with_rounded_weights(name))),
            "activations": effect(tried(session.forms.in_fp32(name), rounded)),
            "facts": asdict(
                layer_facts(session.network, graph, sweep.table, layer, inputs, sweep.files.input)
            ),
        }

    return measure


def open_without(sweep: Sweep) -> Measure:
    """Measure what the int8 network gains with a layer in fp32, and what the layer inherits."""
    session = Session(sweep, whole=True)
    walk = session.walk(session.forms.int8)

    def measure(name: str) -> Measurement:
        if name == ALL_LAYERS:
            return {"all_int8": asdict(session.judge.effect(session.run(session.forms.int8)))}
        layer = session.network.param.layer(name)
        alive = walk.before(name)
        clean = session.originals.tops(name)
        fp32 = run_layer(session.forms.in_fp32(name), layer.bottoms, layer.tops, alive)
        int8 = run_layer(session.forms.in_int8(name), layer.bottoms, layer.tops, alive)
        return {
            "without": asdict(session.judge.effect(walk.behind(name, alive, fp32))),
            "inherited": _signal(clean, fp32, layer),
            "in_int8": _signal(clean, int8, layer),
        }

    return measure


def open_ap_alone(sweep: Sweep) -> Measure:
    """Measure OKS and AP with a layer alone in int8."""
    session = Session(sweep, ap=True)
    walk = session.walk(session.network)

    def measure(name: str) -> Measurement:
        swaps = {name: session.forms.in_int8(name)}
        return {"alone": _effect(session, walk.outputs(name, walk.before(name), swaps))}

    return measure


def open_ap_without(sweep: Sweep) -> Measure:
    """Measure OKS and AP with every layer in int8 but one."""
    session = Session(sweep, whole=True, ap=True)
    walk = session.walk(session.forms.int8)

    def measure(name: str) -> Measurement:
        if name == ALL_LAYERS:
            return {"all_int8": _effect(session, session.run(session.forms.int8))}
        swaps = {name: session.forms.in_fp32(name)}
        return {"without": _effect(session, walk.outputs(name, walk.before(name), swaps))}

    return measure


Tried = list[dict[str, Array]]


class Session:
    """What the measurements of one child process share.

    Args:
        sweep: What is measured.
        whole: Whether nearly all layers are in int8: that is held against the exported network. A
            layer alone is held against the network that it is changed in, which may be another.
        ap: Measure the AP, too.
    """

    def __init__(self, sweep: Sweep, *, whole: bool = False, ap: bool = False) -> None:
        self.sweep = sweep
        # The same bits in five sixths of the time, on nets such as Lite-HRNet.
        self.network = with_joined_shuffles(sweep.network(), sweep.files.outputs)
        self.forms = LayerForms(self.network, sweep.table)
        self.reference = self.run(sweep.original_network() if whole else self.network)
        self.judge = Judge(sweep, self.reference, ap=ap)
        self.originals = Originals(self.network, sweep)
        self._open = ExitStack()

    def run(self, network: Network) -> list[Outputs]:
        """Run whole crops through a form of the network."""
        files = self.sweep.files
        return outputs_on(network, files.input, files.outputs, self.sweep.crops, threads=1)

    def walk(self, network: Network) -> Walk:
        """Begin to walk the crops through a form of the network."""
        files = self.sweep.files
        walk = Walk(network, files.input, files.outputs, self.sweep.crops, threads=1)
        return self._open.enter_context(walk)


class Originals:
    """The fp32 outputs of one layer after the other."""

    def __init__(self, network: Network, sweep: Sweep) -> None:
        self._param = network.param
        self._net = NcnnNet.of(network, sweep.files.input)
        self._forwards = [self._net.start({sweep.files.input: crop}) for crop in sweep.crops]

    def tops(self, name: str) -> Tried:
        """Give the outputs of a layer for each crop; layers must be asked for in their order."""
        return [forward.blobs(self._param.layer(name).tops) for forward in self._forwards]


def _effect(session: Session, outputs: list[Outputs]) -> Measurement:
    return asdict(session.judge.effect(outputs))


def _signal(clean: Tried, got: Tried, layer: Layer) -> Measurement | None:
    found = signal(values_of(clean, layer.tops), values_of(got, layer.tops))
    return None if found is None else asdict(found)
