"""Remedies tried on a layer while all others are in int8, and what each of them brings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from quantkit.calibration.winograd_bound import MOST_LEVELS
from quantkit.model.param import Layer
from quantkit.sensitivity.facts import LayerFacts
from quantkit.sensitivity.layer_forms import rounded_input, run_layer
from quantkit.sensitivity.sessions import Measure, Measurement, Session
from quantkit.sensitivity.signals import signal
from quantkit.sensitivity.sweep import Sweep
from quantkit.tuning.suffix import Array, Blobs, Walk

_FACTORS: Final = (0.35, 0.5, 0.7, 1.4, 2.0)
RUNS: Final = len(_FACTORS) + 4
"""Runs of a crop that the trials of one layer take at most."""


@dataclass(frozen=True)
class Trials:
    """Output SQNR in dB that a change of one layer brings to the int8 network.

    Attributes:
        threshold: The best other threshold of its input; chosen on one half of the crops.
        threshold_gain: What that brings on the other half.
        channels_gain: With a threshold for each channel of the input, as equalization aims at.
        levels_gain: With 127 levels for all weights; None where they have them already.
        fp32_gain: With the layer in fp32.
    """

    threshold: float
    threshold_gain: float | None
    channels_gain: float | None
    levels_gain: float | None
    fp32_gain: float | None


def open_trials(sweep: Sweep, facts: dict[str, LayerFacts]) -> Measure:
    """Try the remedies of a layer in the int8 network."""
    session = Session(sweep, whole=True)
    walk = session.walk(session.forms.int8)
    base = session.run(session.forms.int8)

    def measure(name: str) -> Measurement:
        layer = session.network.param.layer(name)
        alive = walk.before(name)
        one = _Layer(session, walk, layer, facts[name])
        before = signal(session.reference, base)
        whole = None if before is None else before.sqnr_db
        first, second = _halves(len(alive))
        threshold = one.best_threshold(alive, first)
        kept = signal([session.reference[k] for k in second], [base[k] for k in second])
        scale = 127 / threshold
        return asdict(
            Trials(
                threshold=threshold,
                threshold_gain=_gain(
                    one.in_int8(alive, second, scale), None if kept is None else kept.sqnr_db
                ),
                channels_gain=_gain(one.by_channel(alive), whole),
                levels_gain=_gain(one.all_levels(alive), whole),
                fp32_gain=_gain(one.in_fp32(alive), whole),
            )
        )

    return measure


@dataclass
class _Layer:
    """Runs the int8 network with one layer changed; each gives the SQNR of the outputs."""

    session: Session
    walk: Walk
    layer: Layer
    facts: LayerFacts

    def best_threshold(self, alive: Sequence[Blobs], crops: Sequence[int]) -> float:
        threshold, absmax = self.facts.threshold, self.facts.absmax
        tried = [threshold * factor for factor in _FACTORS if threshold * factor < absmax]
        tried += [absmax] if absmax > threshold * 1.05 else []
        found = {one: self.in_int8(alive, crops, 127 / one) for one in (threshold, *tried)}
        return max(found, key=lambda one: -np.inf if (db := found[one]) is None else db)

    def in_int8(self, alive: Sequence[Blobs], crops: Sequence[int], scale: float) -> float | None:
        swaps = {self.layer.name: self.session.forms.in_int8(self.layer.name, scale)}
        outputs = self.walk.outputs(self.layer.name, [alive[k] for k in crops], swaps)
        found = signal([self.session.reference[k] for k in crops], outputs)
        return None if found is None else found.sqnr_db

    def in_fp32(self, alive: Sequence[Blobs]) -> float | None:
        swaps = {self.layer.name: self.session.forms.in_fp32(self.layer.name)}
        found = signal(self.session.reference, self.walk.outputs(self.layer.name, alive, swaps))
        return None if found is None else found.sqnr_db

    def by_channel(self, alive: Sequence[Blobs]) -> float | None:
        channels = np.array(self.facts.channel_absmax, np.float32)
        thresholds = np.minimum(channels, np.float32(self.facts.threshold))
        scales = np.float32(127) / np.where(thresholds > 0, thresholds, np.float32(127))
        return self._rounded(alive, scales, None)

    def all_levels(self, alive: Sequence[Blobs]) -> float | None:
        if min(self.facts.levels) >= MOST_LEVELS:
            return None
        return self._rounded(alive, 127 / self.facts.threshold, MOST_LEVELS)

    def _rounded(
        self, alive: Sequence[Blobs], scale: Array | float, levels: int | None
    ) -> float | None:
        """Run the layer in floats that are rounded as int8 would round them."""
        layer, forms = self.layer, self.session.forms
        bottom = layer.bottoms[0]
        inputs = [rounded_input(blobs[bottom], scale) for blobs in alive]
        net = forms.with_rounded_weights(layer.name, levels)
        made = run_layer(net, layer.bottoms, layer.tops, alive, {bottom: inputs})
        found = signal(self.session.reference, self.walk.behind(layer.name, alive, made))
        return None if found is None else found.sqnr_db


def _halves(count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Every other crop chooses, the rest judge; a single crop does both."""
    every = range(count)
    return every[::2], every[1::2] or every


def _gain(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else round(after - before, 4)
