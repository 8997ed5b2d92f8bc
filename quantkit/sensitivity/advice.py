"""What to do about a layer: one rule for each cause that its measurements can show."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from quantkit.sensitivity.facts import LayerFacts
from quantkit.sensitivity.figures import Advice
from quantkit.sensitivity.report import LayerSensitivity
from quantkit.sensitivity.trials import Trials

_GENERAL: Final = "fp32"
_LEAVE: Final = "leave it in int8 as long as the others are"
_EQUALIZE: Final = "spread the range over the channels: quantkit calibrate --method best"
_STARVED: Final = 0.5
_CLIPPING: Final = 0.5
_UNCLIPPED: Final = 1.2
_APART_DB: Final = 3.0
_BITS: Final = {31: "6 bits", 63: "7 bits"}


@dataclass(frozen=True)
class Case:
    """A layer with what is known of it.

    Attributes:
        layer: Its figures.
        facts: What it and its input look like; None where it ended the runtime.
        trials: What remedies brought; None where none was tried.
        table: Name or path of the table, for the commands that are advised.
    """

    layer: LayerSensitivity
    facts: LayerFacts | None
    trials: Trials | None
    table: str = "best"

    @property
    def keep(self) -> str:
        """The remedy that takes the layer out of the table."""
        return f"keep it in fp32: {self._edit('--fp32', self.layer.name, 'mixed')}"

    def moved(self, threshold: float) -> str:
        """The remedy that gives the layer another threshold."""
        text = f"{threshold:.4g}"
        edit = self._edit("--threshold", f"{self.layer.name}={text}", "moved")
        return f"threshold {text}: {edit}"

    def _edit(self, option: str, value: str, suffix: str) -> str:
        name = f"{PurePath(self.table).name.removesuffix('.table')}-{suffix}"
        words = ("quantkit", "table", "edit", self.table, option, value, "--name", name)
        return shlex.join(words)

    def gain(self, remedy: str) -> float | None:
        """Look up what a remedy brought, in dB."""
        return None if self.trials is None else getattr(self.trials, f"{remedy}_gain")


def advise(case: Case) -> tuple[Advice, ...]:
    """Say what the figures of a layer mean and what to do, the largest gain first.

    What fp32 brings comes last: it is a remedy for everything.
    """
    found = [
        Advice(cause, *answer)
        for cause, rule in RULES.items()
        if (answer := rule(case)) is not None
    ]
    return tuple(sorted(found, key=_place))


def _place(advice: Advice) -> tuple[bool, float]:
    gain = advice.gain_db
    return advice.cause == _GENERAL, float("inf") if gain is None else -gain


def _keep(case: Case) -> tuple[str, float | None]:
    gain = case.gain("fp32")
    return (case.keep, gain) if gain is None or gain > 0 else (_LEAVE, None)


def _helps(gain: float | None, least: float = 0.02) -> bool:
    return gain is not None and gain > least


def _lower(trials: Trials, facts: LayerFacts) -> bool:
    return _helps(trials.threshold_gain) and trials.threshold * _UNCLIPPED < facts.threshold


Answer = tuple[str, str, float | None]
"""The finding, the remedy and its measured gain in dB."""


def _died(case: Case) -> Answer | None:
    if case.layer.died is None:
        return None
    return f"In int8 it ends the runtime or the figures: {case.layer.died}.", case.keep, None


def _vector(case: Case) -> Answer | None:
    if case.facts is None or not case.facts.vector or case.layer.type == "InnerProduct":
        return None
    sentence = "It is a convolution of a one-dimensional blob, which ncnn gets wrong in int8."
    return sentence, "make it an InnerProduct: quantkit calibrate --method best does", None


def _range(case: Case) -> Answer | None:
    facts = case.facts
    if facts is None or facts.vector or not _helps(case.gain("channels")):
        return None
    channels = sorted(one for one in facts.channel_absmax if one > 0)
    if not channels or facts.starved / len(channels) < _STARVED:
        return None
    sentence = (
        f"{facts.wide} of its {len(facts.channel_absmax)} input channels take the range: the"
        f" threshold is {facts.threshold:.3g}, the median channel's largest value"
        f" {channels[len(channels) // 2]:.3g}; {facts.starved / len(channels):.0%} of the channels"
        " get fewer than 8 of 127 levels."
    )
    return sentence, _EQUALIZE, case.gain("channels")


def _clips(case: Case) -> Answer | None:
    facts, trials = case.facts, case.trials
    if facts is None or facts.clipping < _CLIPPING:
        return None
    if trials is not None and _lower(trials, facts):
        return None  # The output does not mind.
    sentence = (
        f"The threshold {facts.threshold:.3g} clips {facts.clipped:.2%} of its input, up to"
        f" {facts.absmax:.3g}: {facts.clipping:.0%} of the rounding error of its input comes from"
        " there."
    )
    return sentence, *_threshold(case, facts)


def _outliers(case: Case) -> Answer | None:
    facts, trials = case.facts, case.trials
    if facts is None or trials is None or not _lower(trials, facts):
        return None
    if facts.absmax < facts.threshold:
        why = f"is above all of its input (the largest value is {facts.absmax:.3g})"
    else:
        why = f"makes room for rare values, up to {facts.absmax:.3g}, that the output does not need"
    sentence = f"The threshold {facts.threshold:.3g} {why}: the others get few levels."
    return sentence, *_threshold(case, facts)


def _threshold(case: Case, facts: LayerFacts) -> tuple[str, float | None]:
    trials = case.trials
    if trials is None or not _helps(trials.threshold_gain, 0.0):
        keep, gain = _keep(case)
        return f"no other threshold that was tried is better; {keep}", gain
    return case.moved(trials.threshold), trials.threshold_gain


def _dead_channels(case: Case) -> Answer | None:
    facts = case.facts
    if facts is None or not (facts.dead_inputs or facts.dead_weights):
        return None
    kind = "depthwise layer" if facts.depthwise else "layer"
    parts = []
    if facts.dead_inputs:
        count = len(facts.channel_absmax)
        parts.append(f"{facts.dead_inputs} of {count} input channels are zero on every crop")
    if facts.dead_weights:
        parts.append(f"{facts.dead_weights} output channels have no weight but zero")
    sentence = f"It is a {kind} with dead channels: {' and '.join(parts)}."
    return sentence, "cut them out of the network before it is exported", None


def _levels(case: Case) -> Answer | None:
    facts = case.facts
    if facts is None or min(facts.levels) >= 127 or not _helps(case.gain("levels")):
        return None
    least, most = facts.levels
    given = _BITS.get(most, f"{least} to {most} levels") if facts.winograd else f"{least} levels"
    why = ", for the sums of Winograd's transform" if facts.winograd else ""
    sentence = f"Its weights have {given} instead of 127{why}."
    remedy = "127 levels, with Winograd off for this layer (its feature mask 31=)"
    return sentence, remedy, case.gain("levels")


def _first(case: Case) -> Answer | None:
    if case.facts is None or not case.facts.reads_image:
        return None
    return "It is the first layer: all others inherit its error.", *_keep(case)


def _last(case: Case) -> Answer | None:
    if case.facts is None or not case.facts.makes_output:
        return None
    sentence = "It is the last layer before an output: nothing behind it evens its error out."
    return sentence, *_keep(case)


def _gate(case: Case) -> Answer | None:
    if case.facts is None or not case.facts.gates:
        return None
    sentence = (
        "It feeds a sigmoid or the like, which multiplies a whole blob: an error there is scaled"
        " with the blob."
    )
    return sentence, *_keep(case)


def _which_part(case: Case) -> Answer | None:
    weights, activations = case.layer.weights, case.layer.activations
    if weights is None or activations is None:
        return None
    if weights.sqnr_db is None or activations.sqnr_db is None:
        return None
    apart = weights.sqnr_db - activations.sqnr_db
    if abs(apart) < _APART_DB:
        return None
    what = "its input costs more than its weights" if apart > 0 else "its weights cost the most"
    sentence = (
        f"Rounding its weights alone gives {weights.sqnr_db:.1f} dB, its input alone"
        f" {activations.sqnr_db:.1f} dB: {what}."
    )
    if apart > 0:
        trials = case.trials
        better = None if trials is None or case.facts is None else _threshold(case, case.facts)
        return (sentence, *better) if better else (sentence, *_keep(case))
    return sentence, "round them by the layer's output: quantkit calibrate --method best", None


def _inherits(case: Case) -> Answer | None:
    own, inherited = case.layer.own, case.layer.inherited
    if own is None or inherited is None or own.sqnr_db is None or inherited.sqnr_db is None:
        return None
    if own.sqnr_db - inherited.sqnr_db < _APART_DB:
        return None
    sentence = (
        f"Its own error leaves {own.sqnr_db:.1f} dB of its output, what it inherits leaves"
        f" {inherited.sqnr_db:.1f} dB: most of its error comes from the layers before it."
    )
    return sentence, "begin with the layers before it that rank higher", None


def _fp32(case: Case) -> Answer | None:
    gain = case.gain("fp32")
    if gain is None:
        return None
    if gain <= 0:
        sentence = (
            f"With it alone in fp32 the output loses {-gain:.2f} dB: its error makes up for that of"
            " other layers."
        )
        return sentence, _LEAVE, None
    share = f"{case.layer.macs_share:.1%} of the multiply-accumulates"
    return f"With it alone in fp32 the output gains {gain:.2f} dB, for {share}.", case.keep, gain


RULES: Final[Mapping[str, Callable[[Case], Answer | None]]] = {
    "died": _died,
    "vector": _vector,
    "range": _range,
    "clips": _clips,
    "outliers": _outliers,
    "dead channels": _dead_channels,
    "levels": _levels,
    "first": _first,
    "last": _last,
    "gate": _gate,
    "weights or input": _which_part,
    "inherited": _inherits,
    _GENERAL: _fp32,
}
"""A rule gives the finding, the remedy and its measured gain, or None where it has no part."""
