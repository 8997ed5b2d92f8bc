"""Forms chosen by the model, and the step of `best` that takes them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.quantization import quantize
from quantkit.quantization.prepared_layers import IN_CODES
from quantkit.tuning.forms import FormSetting, choose_forms, with_forms
from quantkit.tuning.forms.input_form import takes_forms
from quantkit.tuning.recipe import Material, Recipe
from quantkit.tuning.sqnr import sqnr_db
from quantkit.tuning.tune import tune
from tests.nets import INPUT, OUTPUT, crop, small_network
from tests.quantization.agreement import run, simple_table
from tests.tuning.materials import parted

pytest.importorskip("torch", reason="needs torch, which is not installed")

Array = NDArray[np.float32]
FORMS = Recipe(equalize=False, forms=True)


@pytest.fixture
def crops() -> list[Array]:
    return [crop(np.random.default_rng(seed)) for seed in range(12)]


@pytest.fixture
def material(crops: list[Array]) -> Material:
    return parted(small_network(np.random.default_rng(0)), crops)


def test_every_layer_that_can_have_a_form_gets_one(material: Material) -> None:
    network = material.network
    wanted = {layer.name for layer in network.param.layers if takes_forms(layer)}
    setting = FormSetting(INPUT, (OUTPUT,), material.learned)
    assert set(choose_forms(network, wanted, setting)) == wanted


def test_the_choice_depends_on_the_crops_and_the_seed_alone(material: Material) -> None:
    names = [layer.name for layer in material.network.param.layers]
    setting = FormSetting(INPUT, (OUTPUT,), material.learned, threads=1)
    first, second = (choose_forms(material.network, names, setting) for _ in range(2))
    assert all((first[name].scale == second[name].scale).all() for name in first)


def test_a_layer_that_the_table_leaves_out_keeps_its_input(material: Material) -> None:
    setting = FormSetting(INPUT, (OUTPUT,), material.learned)
    assert choose_forms(material.network, [], setting) == {}
    table = simple_table(material.network, material.learned[0], [])
    found = with_forms(material.network, table, {})
    assert found.network.param == material.network.param


def test_best_with_forms_errs_less_on_crops_that_it_never_saw(material: Material) -> None:
    plain = tune(material, replace(FORMS, forms=False, search=False, learning=0))
    found = tune(material, FORMS)
    assert [step.name for step in found.steps[1:]] == ["forms of the inputs"]
    assert found.steps[-1].kept
    assert any(layer.name.endswith(IN_CODES) for layer in found.network.param.layers)
    unseen = [crop(np.random.default_rng(seed)) for seed in range(100, 108)]
    nets = [material.network] + [
        quantize(one.network, one.calibration.table) for one in (plain, found)
    ]
    wanted, before, after = ([(run(net, x, OUTPUT),) for x in unseen] for net in nets)
    assert sqnr_db(wanted, after) > sqnr_db(wanted, before) + 1
