"""`quantkit sensitivity --max-drop`, in this process, with the layer times of an invented phone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from quantkit.cli import main
from quantkit.latency.layer_shape import distinct
from quantkit.latency.profile import LatencyProfile, LayerTimes, write_profile
from quantkit.latency.samples import Milliseconds
from quantkit.model.eligibility import int8_layers
from quantkit.model.shapes import blob_shapes
from tests.nets import INPUT, SIZE, small_network
from tests.projects import small_project

pytestmark = pytest.mark.slow


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go into a project beside which the times lie."""
    monkeypatch.chdir(small_project(tmp_path / "project").root)
    network = small_network(np.random.default_rng(0))
    shapes = blob_shapes(network.param, {INPUT: (3, SIZE[1], SIZE[0])})
    times = {"fp32": Milliseconds(1.0, 1.0), "int8": Milliseconds(0.5, 0.5)}
    found = {one: LayerTimes(times) for one in distinct(int8_layers(network), shapes)}
    path = tmp_path / "phone.json"
    write_profile(LatencyProfile({"cpu": "a phone"}, found, 0.0), path)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["quantkit", "sensitivity", "--table", "kl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_search_prints_what_it_tried_and_writes_its_table(
    phone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--max-drop", "0.5", "--min-sqnr", "1", "--latency", str(phone), "--name", "fast")
    assert run(monkeypatch, *asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)["search"]
    assert found["schema"] == 1
    assert found["bounds"] == {"max_drop": 0.5, "min_sqnr": 1.0}
    assert found["table"] == "fast"
    assert found["chosen"] in {one["name"] for one in found["tried"]}
    assert Path("tables/small/fast.table").is_file()
    assert run(monkeypatch, *asked) == 0
    printed = capsys.readouterr()
    assert "nothing changed, search reused" in printed.err
    assert "whole networks were not timed" in " ".join(printed.out.split())
    assert "Confirmed once on val.json" in " ".join(printed.out.split())


def test_a_wrong_file_of_layer_times_ends_it_before_anything_is_written(
    phone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.write_text(phone.read_text().replace('"int8"', '"int9"', 1))
    assert run(monkeypatch, "--max-drop", "0.5", "--latency", str(phone)) == 2
    assert "phone.json: layer 1 of the file: 'ms' needs fp32 and int8" in capsys.readouterr().err
    assert not Path("tables/small/mixed.table").exists()
