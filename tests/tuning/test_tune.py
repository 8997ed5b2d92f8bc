import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.methods import METHODS
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.weights import LayerWeights, Record
from quantkit.progress import Feedback
from quantkit.quantization import quantize
from quantkit.tuning import tune as tuning
from quantkit.tuning.equalization.channel_graph import channel_graph
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.recipe import Material, Recipe, Step
from quantkit.tuning.sqnr import sqnr_db
from quantkit.tuning.thresholds_setting import thresholds_of
from quantkit.tuning.tune import tune
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import run
from tests.tuning.equalized_nets import far_factors
from tests.tuning.materials import parted

Array = NDArray[np.float32]
NOTHING = Recipe(equalize=False, search=False, rounding=False, bias=False, learning=0)
UNLEARNED = Recipe(learning=0)
STEPS = {
    "equalize": "equalization",
    "search": "thresholds by the outputs",
    "rounding": "rounding by each layer's output",
    "learning": "learning from the fp32 outputs",
}


@pytest.fixture(scope="module")
def network() -> Network:
    """One whose channels differ in range by up to 256, as those of trained networks do."""
    even = small_network(np.random.default_rng(0))
    shapes = blob_shapes(even.param, {INPUT: smooth(0).shape})
    graph = channel_graph(even, shapes, (OUTPUT,))
    return folded(even, graph, far_factors(graph))


@pytest.fixture
def material(network: Network) -> Material:
    crops = [smooth(seed) for seed in range(12)]
    return parted(network, crops)


def smooth(seed: int) -> Array:
    coarse = np.random.default_rng(seed).standard_normal((3, 16, 12)).astype(np.float32)
    return (
        np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2) + crop(np.random.default_rng(seed)) / 4
    )


def unseen_db(fp32: Network, int8: Network) -> float:
    seeds = range(100, 108)
    return sqnr_db(*([(run(net, smooth(s), OUTPUT),) for s in seeds] for net in (fp32, int8)))


def test_it_errs_less_than_the_best_method_on_crops_that_it_never_saw(
    material: Material, network: Network
) -> None:
    simple, found = tune(material, NOTHING), tune(material, UNLEARNED)
    assert simple.network is network
    assert simple.steps[0].name in METHODS
    before, after = (
        unseen_db(network, quantize(one.network, one.calibration.table)) for one in (simple, found)
    )
    assert after > before + 10


def test_the_figure_of_the_last_step_is_the_int8_networks_own(material: Material) -> None:
    found = tune(material, UNLEARNED)
    held_out = material.held_out
    int8 = quantize(found.network, found.calibration.table)
    got = sqnr_db(*([(run(net, x, OUTPUT),) for x in held_out] for net in (material.network, int8)))
    assert found.held_out_db == pytest.approx(got, abs=1e-6)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_can_be_taken_alone(material: Material, step: str) -> None:
    only = replace(NOTHING, learning=20) if step == "learning" else replace(NOTHING, **{step: True})
    found = tune(material, only)
    assert [one.name for one in found.steps[1:]] == [STEPS[step]]


def test_a_step_that_makes_it_worse_is_dropped(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(network: Network, *_: object) -> SimpleNamespace:
        name = next(iter(network.weights))
        return SimpleNamespace(network=network.replaced({}, {name: doubled(network.weights[name])}))

    monkeypatch.setattr(tuning, "round_weights", spoilt)
    found = tune(material, replace(NOTHING, rounding=True))
    step = found.steps[-1]
    assert not step.kept
    assert step.after_db is not None
    assert step.before_db is not None
    assert step.after_db < step.before_db
    assert found.network is material.network
    assert found.held_out_db == step.before_db


def test_a_step_that_cannot_be_done_says_why_and_the_others_are_taken(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        message = "layer 'odd' has a type that is not known"
        raise InputError(message)

    monkeypatch.setattr(tuning, "equalize", refuses)
    notes: list[str] = []
    found = tune(replace(material, feedback=Feedback(note=notes.append)), UNLEARNED)
    step = next(one for one in found.steps if one.name == "equalization")
    assert not step.kept
    assert "layer 'odd'" in step.detail
    assert any("equalization: dropped, cannot be done: layer 'odd'" in note for note in notes)
    assert found.steps[-1].name == STEPS["rounding"]


def test_no_network_is_searched_twice(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both are near each other, and no search helps.
    monkeypatch.setattr(tuning, "_NEAR_DB", 1000.0)
    monkeypatch.setattr(
        tuning, "best_thresholds", lambda setting, *_, **__: spoilt_search(setting.table)
    )
    steps = [step.name for step in tune(material, UNLEARNED).steps]
    assert [name for name in steps if "thresholds" in name] == [
        "thresholds by the outputs",
        "equalized, thresholds by the outputs",
    ]


def spoilt_search(table: CalibrationTable) -> SimpleNamespace:
    spoilt = {name: value / 50 for name, value in thresholds_of(table).items()}
    return SimpleNamespace(thresholds=spoilt, alone=spoilt)


def test_each_step_can_be_looked_at(material: Material) -> None:
    seen: list[tuple[str, float]] = []

    def observe(step: Step, network: Network, table: CalibrationTable) -> None:
        seen.append((step.name, unseen_db(material.network, quantize(network, table))))

    found = tune(material, UNLEARNED, observe)
    assert [name for name, _ in seen] == [step.name for step in found.steps]
    last = unseen_db(material.network, quantize(found.network, found.calibration.table))
    assert seen[-1][1] == pytest.approx(last, abs=1e-6)


def test_layers_in_fp32_keep_to_their_share_and_say_why(material: Material) -> None:
    found = tune(material, replace(NOTHING, fp32_share=0.1))
    step = found.steps[-1]
    assert step.name == "layers in fp32"
    assert step.kept
    left_out = found.calibration.left_out
    assert left_out
    assert not set(left_out) & set(found.calibration.table.layers)
    assert all("stay in fp32" in reason for reason in left_out.values())


def test_it_gives_the_same_again_with_any_number_of_threads(material: Material) -> None:
    first, second = tune(material, UNLEARNED), tune(replace(material, threads=1), UNLEARNED)
    assert first.calibration.table.text() == second.calibration.table.text()
    assert first.network.sha256 == second.network.sha256


def test_a_search_that_was_killed_goes_on_where_it_was(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tune(material, replace(NOTHING, search=True))
    journal = Journal(tmp_path / "j.jsonl")
    monkeypatch.setattr(journal, "record", fails_after(5, journal.record))
    with pytest.raises(KeyboardInterrupt):
        tune(replace(material, journal=journal), replace(NOTHING, search=True))
    kept = Journal(tmp_path / "j.jsonl")
    again = tune(replace(material, journal=kept), replace(NOTHING, search=True))
    lines = (tmp_path / "j.jsonl").read_text().splitlines()
    assert len(lines) > 5
    assert len({json.loads(line)["key"] for line in lines}) == len(lines)
    assert again.calibration.table.text() == whole.calibration.table.text()


def fails_after(
    count: int, record: Callable[[str, dict[str, object]], None]
) -> Callable[[str, dict[str, object]], None]:
    calls = iter(range(count))

    def wrapped(key: str, value: dict[str, object]) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        record(key, value)

    return wrapped


def doubled(weights: LayerWeights) -> LayerWeights:
    records = weights.records.items()
    return LayerWeights({key: replace(one, stored=one.stored * 2) for key, one in records})


def heads(network: Network, factor: float) -> Network:
    """Add a second output: a 1x1 convolution of the first, scaled."""
    net = NetBuilder(np.random.default_rng(3))
    net.split("ends", OUTPUT)
    net.conv("second", f"{OUTPUT}_ends_1", "second", (17, 5))
    added = net.build()
    layers = (*network.param.layers, *added.param.layers[1:])
    weights = {**network.weights, **added.weights}
    scaled = {
        role: Record(record.stored * np.float32(factor), record.tag)
        for role, record in weights["second"].records.items()
    }
    weights["second"] = LayerWeights(scaled)
    return Network(replace(network.param, layers=layers), weights)


def test_a_large_output_hides_no_other(material: Material, network: Network) -> None:
    """SQNR is of each output; the worst of them decides."""
    two = heads(network, 1e4)
    names = (f"{OUTPUT}_ends_0", "second")
    both = replace(material, network=two, outputs=names)
    found = tune(both, NOTHING)
    int8 = quantize(found.network, found.calibration.table)
    for name, told in found.steps[-1].outputs.items():
        pairs = ([(run(net, x, name),) for x in both.held_out] for net in (two, int8))
        assert told == pytest.approx(sqnr_db(*pairs), abs=1e-6)
    assert tuple(found.steps[-1].outputs) == names
    assert found.held_out_db == min(found.steps[-1].outputs.values())
    assert tune(material, NOTHING).steps[-1].outputs == {}


def test_an_output_that_is_zero_on_the_crops_is_named_and_does_not_count(
    material: Material, network: Network
) -> None:
    notes: list[str] = []
    names = (f"{OUTPUT}_ends_0", "second")
    both = replace(
        material,
        network=heads(network, 0.0),
        outputs=names,
        feedback=Feedback(note=notes.append),
    )
    found = tune(both, replace(NOTHING, search=True))
    assert any("left out of the judgement: second" in note for note in notes)
    assert found.held_out_db == found.steps[-1].outputs[names[0]]


def test_int8_outputs_that_are_never_finite_are_named_with_the_layer(
    material: Material, network: Network
) -> None:
    """The weights are finite and the fp32 outputs too, but a sum of int8 is not."""

    def infinite(net: Network, table: CalibrationTable) -> Network:
        made = quantize(net, table)
        records = dict(made.weights["head"].records)
        records["bias"] = Record(np.full_like(records["bias"].stored, np.inf), None)
        return made.replaced({}, {"head": LayerWeights(records)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "quantize", infinite)
        with pytest.raises(InputError, match=r"not finite .* by any method; Convolution 'head'"):
            tune(material, NOTHING)


def test_a_tiny_budget_says_what_it_leaves_out_and_is_no_worse_than_kl(material: Material) -> None:
    notes: list[str] = []
    short = replace(material, budget_s=0.01, feedback=Feedback(note=notes.append))
    found = tune(short, Recipe())
    assert "0 steps of learning instead of 300" in found.left_out
    assert any("--budget none" in note for note in notes)
    assert [one.name for one in found.steps if one.kept is False][:1] == [
        "left out to fit the budget"
    ]
    kl = tune(replace(material, budget_s=None), NOTHING)
    assert found.held_out_db is not None
    assert kl.held_out_db is not None
    assert found.held_out_db >= kl.held_out_db


def test_without_a_budget_nothing_is_left_out(material: Material) -> None:
    found = tune(material, UNLEARNED)
    assert found.left_out == ()
    assert all(one.name != "left out to fit the budget" for one in found.steps)


def test_a_run_that_was_killed_goes_on_with_its_plan_to_the_same_bytes(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = 20.0
    whole = tune(replace(material, budget_s=budget), UNLEARNED)

    def killed(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("thresholds of each layer alone", 3):
            raise KeyboardInterrupt

    first = replace(material, budget_s=budget, journal=Journal(tmp_path / "j.jsonl"))
    with pytest.raises(KeyboardInterrupt):
        tune(replace(first, feedback=Feedback(killed)), UNLEARNED)
    monkeypatch.setattr(tuning, "measured_costs", lambda *given: pytest.fail("measured again"))
    second = tune(replace(first, journal=Journal(tmp_path / "j.jsonl")), UNLEARNED)
    assert second.left_out == whole.left_out
    assert second.calibration.table.text() == whole.calibration.table.text()
    assert second.network.sha256 == whole.network.sha256
