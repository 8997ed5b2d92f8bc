from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import ActivationStatistics, collect
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.quantization.int8 import quantize
from quantkit.tuning.output_error import decibels
from quantkit.tuning.thresholds import best_thresholds
from quantkit.tuning.thresholds_alone import errors_alone, least
from quantkit.tuning.thresholds_candidates import candidates
from quantkit.tuning.thresholds_setting import (
    Setting,
    Thresholds,
    thresholds_of,
    with_thresholds,
)
from quantkit.tuning.thresholds_together import descend
from tests.nets import INPUT, OUTPUT, crop, small_network


@pytest.fixture(scope="module")
def statistics() -> ActivationStatistics:
    return _statistics(_setting(2))


def _setting(crops: int, *, journal: Journal | None = None, seed: int = 8) -> Setting:
    rng = np.random.default_rng(7)
    network = small_network(rng)
    shown = np.random.default_rng(seed)
    tensors = [crop(shown) for _ in range(crops)]
    names = [layer.name for layer in int8_layers(network)]
    found = collect(network, INPUT, lambda: tensors, names)
    table = calibrate(network, found).table
    return Setting(network, table, INPUT, (OUTPUT,), tensors, journal=journal)


def _statistics(setting: Setting) -> ActivationStatistics:
    return collect(setting.network, INPUT, lambda: setting.crops, setting.table.layers)


def _whole_error(setting: Setting, thresholds: Thresholds) -> float:
    """Measure by a whole run of the network that `quantize` makes, requantized and all."""
    network = quantize(
        setting.network, with_thresholds(setting.table, thresholds), store_fp16=False
    )
    return sum(setting.error.all(setting.run(network)))


def test_each_layer_alone_gets_what_whole_runs_of_every_candidate_find_best(
    statistics: ActivationStatistics,
) -> None:
    setting = _setting(2)
    tried = {name: candidates(statistics[name]) for name in setting.table.layers}
    brute = {}
    for name, thresholds in tried.items():
        singles = [
            quantize(
                setting.network,
                with_thresholds(setting.table, {name: t}).only([name]),
                store_fp16=False,
            )
            for t in thresholds
        ]
        brute[name] = [sum(setting.error.all(setting.run(one))) for one in singles]
    errors = errors_alone(setting, tried)
    for name, found in errors.items():
        assert found == pytest.approx(brute[name], rel=1e-12), name
    chosen = least(setting, tried, errors)
    separate = [name for name in chosen if setting.groups[name] == (name,)]
    assert len(separate) > 5
    for name in separate:
        assert chosen[name] == tried[name][int(np.argmin(brute[name]))], name


def test_layers_that_share_an_int8_blob_share_their_threshold(
    statistics: ActivationStatistics,
) -> None:
    setting = _setting(2)
    assert setting.groups["right"] == ("left", "right")
    found = best_thresholds(setting, statistics).thresholds
    assert found["left"] == found["right"]


def test_the_second_pass_lowers_the_error_of_the_whole_int8_network(
    statistics: ActivationStatistics,
) -> None:
    setting = _setting(4)
    start = {name: value * 1.9 for name, value in thresholds_of(setting.table).items()}
    start["stem"] = statistics["stem"].absmax
    largest = {name: 10 * statistics[name].absmax for name in start}
    found = descend(setting, start, largest)
    assert set(found) == set(start)
    before, after = _whole_error(setting, start), _whole_error(setting, found)
    assert after < 0.8 * before
    result = best_thresholds(setting, statistics)
    assert decibels(_whole_error(setting, result.thresholds)) == pytest.approx(
        max(judged for judged, _ in result.passes.values())
    )


def test_no_single_step_of_the_last_layer_is_better_than_what_a_pass_chose(
    statistics: ActivationStatistics,
) -> None:
    setting = _setting(1)
    largest = {name: statistics[name].absmax for name in setting.table.layers}
    start = thresholds_of(setting.table)
    found = descend(setting, start, largest)
    last = setting.table.layers[-1]
    best = _whole_error(setting, found)
    for factor in (0.94, 1.0, 1.06):
        assert _whole_error(setting, {**found, last: start[last] * factor}) >= best


def test_a_pass_that_is_worse_on_held_out_crops_is_dropped(
    statistics: ActivationStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, other = _setting(2), _setting(2, seed=9)
    spoilt = {name: 0.05 * value for name, value in thresholds_of(setting.table).items()}
    monkeypatch.setattr("quantkit.tuning.thresholds.descend", lambda *_: spoilt)
    found = best_thresholds(setting, statistics, held_out=other.crops)
    assert found.thresholds != spoilt
    held_out = {name: other for name, (_, other) in found.passes.items()}
    assert held_out["together 1"] is not None
    assert held_out["together 1"] < 5


def test_a_killed_search_goes_on_and_ends_the_same(
    tmp_path: Path, statistics: ActivationStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = best_thresholds(_setting(2), statistics)
    path = tmp_path / "journal.jsonl"
    loads: list[str] = []
    load = Setting.load

    def counted(self: Setting, layer: str, threshold: float) -> object:
        loads.append(layer)
        return load(self, layer, threshold)

    monkeypatch.setattr(Setting, "load", counted)
    best_thresholds(_setting(2, journal=Journal(path)), statistics)
    all_loads = len(loads)
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in (3, len(lines) - 3):
        path.write_bytes(b"".join(lines[:kept]))
        loads.clear()
        again = best_thresholds(_setting(2, journal=Journal(path)), statistics)
        assert again == wanted
        assert 0 < len(loads) < all_loads
    loads.clear()
    assert best_thresholds(_setting(2, journal=Journal(path)), statistics) == wanted
    assert loads == []


def test_what_was_found_on_other_crops_is_not_used() -> None:
    assert _setting(2).key == _setting(2).key
    assert _setting(2).key != _setting(3).key
    changed = _setting(2)
    assert changed.key != replace(changed, table=changed.table.without(["head"])).key


def test_a_layer_without_statistics_is_named(statistics: ActivationStatistics) -> None:
    few = {name: one for name, one in statistics.items() if name != "head"}
    with pytest.raises(InputError, match="'head' of the table has no statistics"):
        best_thresholds(_setting(1), few)


def test_a_threshold_for_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InputError, match="'nose' is not in the table"):
        with_thresholds(_setting(1).table, {"nose": 1.0})


def test_candidates_descend_and_lie_within_the_range(statistics: ActivationStatistics) -> None:
    for one in statistics.values():
        found = candidates(one)
        assert found[0] == pytest.approx(one.absmax)
        assert all(a >= 1.08 * b for a, b in pairwise(found))
        assert len(found) >= 4


def test_a_search_may_start_from_the_table_as_it_is(statistics: ActivationStatistics) -> None:
    setting = _setting(2)
    largest = {name: statistics[name].absmax for name in setting.table.layers}
    found = best_thresholds(setting, statistics, alone=False)
    assert list(found.passes) == ["as given", "together 1"]
    assert found.alone == thresholds_of(setting.table)
    assert found.thresholds == descend(setting, found.alone, largest)


def test_the_networks_own_input_is_not_clipped(statistics: ActivationStatistics) -> None:
    found = best_thresholds(_setting(2), statistics, rounds=2)
    assert found.alone["stem"] == statistics["stem"].absmax
    assert found.thresholds["stem"] >= statistics["stem"].absmax
