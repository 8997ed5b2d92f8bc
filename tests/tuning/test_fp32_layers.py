from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.calibration.table import CalibrationTable
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.macs import macs, total_macs
from quantkit.model.shapes import blob_shapes
from quantkit.tuning.fp32_layers import fp32_layers
from quantkit.tuning.output_error import decibels
from quantkit.tuning.thresholds_setting import Setting
from tests.nets import INPUT, OUTPUT, crop, small_network


def _setting(journal: Journal | None = None) -> Setting:
    rng = np.random.default_rng(11)
    network = small_network(rng)
    crops = [crop(rng) for _ in range(2)]
    names = [layer.name for layer in int8_layers(network)]
    table = calibrate(network, collect(network, INPUT, lambda: crops, names)).table
    return Setting(network, table, INPUT, (OUTPUT,), crops, journal=journal)


def _error(setting: Setting, table: CalibrationTable) -> float:
    return sum(setting.error.all(setting.run(setting.quantized(table))))


def _shares(setting: Setting) -> dict[str, float]:
    layers = setting.network.param.layers
    shapes = blob_shapes(setting.network.param, {INPUT: (3, 64, 48)})
    total = total_macs(layers, shapes)
    return {layer.name: macs(layer, shapes) / total for layer in layers}


def test_the_first_layer_taken_is_the_one_that_whole_runs_find_best_for_its_cost() -> None:
    setting = _setting()
    shares = _shares(setting)
    error = _error(setting, setting.table)
    rates = {
        name: (error - _error(setting, setting.table.without([name]))) / shares[name]
        for name in setting.table.layers
        if shares[name] <= 0.3
    }
    choice = fp32_layers(setting, 0.3)
    first = choice.picks[0]
    assert first.name == max(rates, key=rates.__getitem__)
    assert first.gain == pytest.approx(rates[first.name] * shares[first.name] / error)


def test_the_budget_holds_and_the_figures_are_those_of_whole_runs() -> None:
    setting = _setting()
    shares = _shares(setting)
    choice = fp32_layers(setting, 0.3)
    names = [pick.name for pick in choice.picks]
    assert 0 < sum(shares[name] for name in names) <= 0.3
    assert choice.table == setting.table.without(names)
    assert choice.before_db == pytest.approx(decibels(_error(setting, setting.table)))
    assert choice.after_db == pytest.approx(decibels(_error(setting, choice.table)))
    assert choice.after_db > choice.before_db


def test_without_a_budget_all_layers_stay() -> None:
    setting = _setting()
    choice = fp32_layers(setting, 0.0)
    assert choice.picks == ()
    assert choice.table == setting.table
    assert choice.before_db == choice.after_db


def test_a_killed_choice_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = fp32_layers(_setting(), 0.1)
    path = tmp_path / "journal.jsonl"
    fp32_layers(_setting(Journal(path)), 0.1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    assert fp32_layers(_setting(Journal(path)), 0.1) == wanted
    monkeypatch.setattr("quantkit.tuning.fp32_layers.load_alone", None)
    assert fp32_layers(_setting(Journal(path)), 0.1) == wanted
