from dataclasses import replace

import pytest

from quantkit.sensitivity.advice import RULES, Case, advise
from quantkit.sensitivity.facts import LayerFacts
from quantkit.sensitivity.figures import Effect, Signal
from quantkit.sensitivity.report import LayerSensitivity
from quantkit.sensitivity.trials import Trials

LAYER = LayerSensitivity("conv", "Convolution", 0.02, 0.1, Effect(20.0))
FACTS = LayerFacts(
    threshold=10.0,
    absmax=10.0,
    clipped=0.0,
    clipping=0.0,
    channel_absmax=(9.0, 8.0, 7.0, 6.0),
    starved=0,
    wide=3,
    dead_inputs=0,
    dead_weights=0,
    levels=(127, 127),
    winograd=False,
    depthwise=False,
    reads_image=False,
    makes_output=False,
    gates=False,
    vector=False,
)
TRIALS = Trials(10.0, 0.0, 0.0, None, 1.5)
CASE = Case(LAYER, FACTS, TRIALS)


def with_facts(trials: Trials = TRIALS, **facts: object) -> Case:
    return Case(LAYER, replace(FACTS, **facts), trials)  # type: ignore[arg-type]


def with_layer(**figures: object) -> Case:
    return Case(replace(LAYER, **figures), FACTS, TRIALS)  # type: ignore[arg-type]


HUGE = (900.0, 20.0, 19.0, 18.0, 0.0)
CASES = {
    "died": (with_layer(alone=Effect(died="SIGSEGV")), "SIGSEGV"),
    "vector": (with_facts(vector=True), "one-dimensional"),
    "range": (
        with_facts(
            replace(TRIALS, channels_gain=6.0),
            channel_absmax=HUGE, starved=3, wide=1, threshold=898.0,
        ),
        "1 of its 5 input channels take the range: the threshold is 898, the median",
    ),
    "clips": (
        with_facts(
            replace(TRIALS, threshold=14.0, threshold_gain=0.8), clipped=0.01, clipping=0.9
        ),
        "clips 1.00% of its input",
    ),
    "outliers": (
        with_facts(replace(TRIALS, threshold=3.5, threshold_gain=2.0), absmax=439.0),
        "rare values, up to 439",
    ),
    "dead channels": (with_facts(depthwise=True, dead_inputs=2), "depthwise layer with dead"),
    "levels": (with_facts(replace(TRIALS, levels_gain=0.7), levels=(31, 31), winograd=True), "6 b"),
    "first": (with_facts(reads_image=True), "first layer"),
    "last": (with_facts(makes_output=True), "last layer"),
    "gate": (with_facts(gates=True), "sigmoid"),
    "weights or input": (
        with_layer(weights=Effect(30.0), activations=Effect(21.0)), "its input costs more"
    ),
    "inherited": (with_layer(own=Signal(30.0, 1.0), inherited=Signal(9.0, 0.9)), "inherits"),
    "fp32": (CASE, "gains 1.50 dB, for 2.0%"),
}  # fmt: skip


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("cause", RULES)
def test_a_rule_speaks_of_its_cause_and_not_of_a_sound_layer(cause: str) -> None:
    case, words = CASES[cause]
    (found,) = (one for one in advise(case) if one.cause == cause)
    assert words in found.sentence
    assert found.remedy
    if cause != "fp32":
        assert cause not in {one.cause for one in advise(CASE)}


def test_the_largest_gain_comes_first_and_fp32_last() -> None:
    case = with_facts(
        Trials(14.0, 0.8, 6.0, None, 9.0),
        clipping=0.9, clipped=0.1, channel_absmax=HUGE, starved=3, dead_inputs=1,
    )  # fmt: skip
    found = advise(case)
    assert [one.cause for one in found] == ["range", "clips", "dead channels", "fp32"]
    assert [one.gain_db for one in found] == [6.0, 0.8, None, 9.0]


def test_a_remedy_that_did_not_help_is_not_advised() -> None:
    case = with_facts(
        Trials(14.0, -0.3, -1.0, -0.1, 0.2),
        clipping=0.9, channel_absmax=HUGE, starved=3, levels=(31, 31),
    )  # fmt: skip
    found = {one.cause: one for one in advise(case)}
    assert set(found) == {"clips", "dead channels", "fp32"} - {"dead channels"}
    assert found["clips"].remedy.startswith("no other threshold that was tried is better")


def test_a_remedy_is_the_command_that_applies_it() -> None:
    case = with_facts(replace(TRIALS, threshold=12.7, threshold_gain=0.8), clipping=0.9)
    (found, *_) = advise(case)
    edit = "quantkit table edit"
    assert found.remedy == (f"threshold 12.7: {edit} best --threshold conv=12.7 --name best-moved")
    *_, fp32 = advise(replace(case, table="../my tables/own.table"))
    assert fp32.remedy == (
        f"keep it in fp32: {edit} '../my tables/own.table' --fp32 conv --name own-mixed"
    )


def test_a_layer_that_makes_up_for_others_is_not_taken_out() -> None:
    found = advise(with_facts(Trials(10.0, 0.0, 0.0, None, -0.7), makes_output=True, clipping=0.9))
    assert {one.cause for one in found} == {"clips", "last", "fp32"}
    assert all("leave it in int8" in one.remedy and one.gain_db is None for one in found)
    assert "loses 0.70 dB" in found[-1].sentence


def test_clipping_that_the_output_does_not_mind_is_not_blamed() -> None:
    trials = Trials(5.0, 0.5, 0.0, None, 0.2)
    found = advise(with_facts(trials, clipping=0.9, clipped=0.01, absmax=60.0))
    assert [one.cause for one in found] == ["outliers", "fp32"]
