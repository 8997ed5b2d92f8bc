from pathlib import Path

import numpy as np
import pytest

from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights, Record
from quantkit.sensitivity.facts import LayerFacts, layer_facts
from quantkit.sensitivity.layer_forms import LayerForms, rounded_input
from quantkit.sensitivity.sessions import ALL_LAYERS, open_alone, open_without
from quantkit.sensitivity.sweep import Sweep
from quantkit.sensitivity.trials import open_trials
from tests.nets import INPUT, write_pair
from tests.sensitivity.plain_sweep import PlainSweep
from tests.sensitivity.small_sweeps import small_sweep

LAYERS = ("stem", "depthwise", "expand", "residual", "excite", "neck", "left", "right", "head")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return small_sweep(tmp_path_factory.mktemp("net"), persons=4, layers=LAYERS)


@pytest.fixture(scope="module")
def network(sweep: Sweep) -> Network:
    return sweep.network()


def test_the_figures_are_those_of_whole_networks(sweep: Sweep, tmp_path: Path) -> None:
    plain = PlainSweep(sweep, tmp_path)
    alone, without = open_alone(sweep), open_without(sweep)
    for name in LAYERS:
        wanted = plain.measure(name)
        got = {**alone(name), **without(name)}
        for key in ("alone", "without", "weights", "own", "inherited"):
            assert got[key] == wanted[key], (name, key)
        # ncnn rounds a half to the even number in float layers, to the larger one in int8.
        for key in ("sqnr_db", "cosine", "peak_shift_px", "oks_drop"):
            assert got["activations"][key] == pytest.approx(
                wanted["activations"][key], rel=1e-3, abs=1e-5
            ), (name, key)


def test_the_whole_network_in_int8_is_that_of_the_table(sweep: Sweep, tmp_path: Path) -> None:
    plain = PlainSweep(sweep, tmp_path)
    outputs, _ = plain.run(plain.int8(sweep.table), ())
    wanted = plain.judge.effect(outputs)
    found = open_without(sweep)(ALL_LAYERS)["all_int8"]
    assert (found["sqnr_db"], found["oks_drop"]) == (wanted.sqnr_db, wanted.oks_drop)


def test_weights_and_input_rounded_together_make_the_int8_layer(
    sweep: Sweep, network: Network
) -> None:
    forms = LayerForms(network, sweep.table)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((32, 16, 12)).astype(np.float32)
    with forms.in_int8("residual") as int8, forms.with_rounded_weights("residual") as floats:
        (bottom,), (top,) = (network.param.layer("residual").bottoms, ["residual"])
        got = int8.start({bottom: values}).blobs([top])[top]
        rounded = rounded_input(values, forms.bottom_scale("residual"))
        wanted = floats.start({bottom: rounded}).blobs([top])[top]
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_a_scale_for_each_channel_rounds_each_channel_with_its_own() -> None:
    values = np.array([[[0.26]], [[26.0]]], np.float32)
    rounded = rounded_input(values, np.array([100.0, 1.0], np.float32))
    assert rounded.ravel().tolist() == pytest.approx([0.26, 26.0])
    assert rounded_input(values, 1.0).ravel().tolist() == [0.0, 26.0]


def facts_of(sweep: Sweep, network: Network, name: str, inputs: list[object]) -> LayerFacts:
    layer = network.param.layer(name)
    arrays = [np.asarray(one, np.float32) for one in inputs]
    return layer_facts(network, Graph(network.param), sweep.table, layer, arrays, INPUT)


def test_the_facts_tell_where_a_layer_is(sweep: Sweep, network: Network) -> None:
    ones = {"stem": 3, "depthwise": 16, "excite": 32, "head": 48, "left": 24}
    facts = {
        name: facts_of(sweep, network, name, [np.ones((channels, 2, 2))])
        for name, channels in ones.items()
    }
    assert [name for name, one in facts.items() if one.reads_image] == ["stem"]
    assert [name for name, one in facts.items() if one.makes_output] == ["head"]
    assert [name for name, one in facts.items() if one.depthwise] == ["depthwise"]
    assert [name for name, one in facts.items() if one.gates] == ["excite"]
    assert [name for name, one in facts.items() if one.winograd] == ["left"]


def test_the_facts_count_channels_and_what_is_clipped(sweep: Sweep, network: Network) -> None:
    threshold = 127 / sweep.table.activation_scales["depthwise"]
    values = np.zeros((16, 1, 4))
    values[0], values[1], values[2:10] = 2 * threshold, 0.9 * threshold, 0.01 * threshold
    facts = facts_of(sweep, network, "depthwise", [values])
    assert (facts.wide, facts.starved, facts.dead_inputs) == (2, 8, 6)
    assert facts.clipped == 4 / 64
    assert facts.clipping > 0.99
    assert facts.absmax == pytest.approx(2 * threshold)


def test_trials_measure_what_a_change_of_one_layer_brings(sweep: Sweep, tmp_path: Path) -> None:
    alone, without = open_alone(sweep), open_without(sweep)
    facts = {name: LayerFacts(**alone(name)["facts"]) for name in LAYERS}
    whole = without(ALL_LAYERS)["all_int8"]["sqnr_db"]
    measure = open_trials(sweep, facts)
    for name in LAYERS:
        found = measure(name)
        wanted = without(name)["without"]["sqnr_db"] - whole
        assert found["fp32_gain"] == pytest.approx(wanted, abs=1e-3)
    assert found["levels_gain"] is None  # The head has 1x1 weights with all their levels.


def test_a_threshold_that_is_far_off_is_found(sweep: Sweep) -> None:
    scales = {**sweep.table.activation_scales}
    scales["head"] *= 8
    table = type(sweep.table)(sweep.table.weight_scales, scales)
    clipped = Sweep(**{n: getattr(sweep, n) for n in Sweep.__dataclass_fields__} | {"table": table})
    facts = {"head": LayerFacts(**open_alone(clipped)("head")["facts"])}
    assert facts["head"].clipping > 0.9
    found = open_trials(clipped, facts)("head")
    assert found["threshold"] > 2 * facts["head"].threshold
    assert found["threshold_gain"] > 3


def test_the_int8_network_is_held_against_the_exported_one(
    sweep: Sweep, network: Network, tmp_path: Path
) -> None:
    bias = network.weights["head"].records["bias"]
    moved = {"bias": Record(bias.stored + np.float32(5), bias.tag)}
    records = LayerWeights({**network.weights["head"].records, **moved})
    other = network.replaced({}, {"head": records})
    parts = {name: getattr(sweep, name) for name in Sweep.__dataclass_fields__}
    parts |= {"original": write_pair(other, tmp_path), "original_sha256": other.sha256}
    prepared = Sweep(**parts)
    assert open_alone(prepared)("neck")["alone"] == open_alone(sweep)("neck")["alone"]
    without = open_without(prepared)("neck")
    assert without["without"]["sqnr_db"] < open_without(sweep)("neck")["without"]["sqnr_db"] - 5
    assert without["inherited"] == open_without(sweep)("neck")["inherited"]
