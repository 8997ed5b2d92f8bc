from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import CalibrationTable
from quantkit.sensitivity import ranking
from quantkit.sensitivity.isolated_map import Died
from quantkit.sensitivity.ranking import ALL_LAYERS, LayerSweep, sweep_layers
from tests.nets import crop, small_network, write_pair


@pytest.mark.parametrize(
    ("how", "again"),
    [
        ("SIGSEGV", []),
        ("SIGKILL (the system may be out of memory)", [ALL_LAYERS, "conv"]),
        ("SIGTERM", [ALL_LAYERS, "conv"]),
        ("exit code 1", [ALL_LAYERS, "conv"]),
    ],
)
def test_only_a_crash_of_its_own_is_kept_of_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, again: list[str]
) -> None:
    tried: list[str] = []

    def dying(
        open_session: object, arguments: object, tasks: Sequence[str], *, workers: int
    ) -> Iterator[tuple[str, Died]]:
        for task in tasks:
            tried.append(task)
            yield task, Died(how)

    monkeypatch.setattr(ranking, "isolated_map", dying)
    rng = np.random.default_rng(0)
    table = CalibrationTable({"conv": (1.0,)}, {"conv": 1.0})
    sweep = LayerSweep(write_pair(small_network(rng), tmp_path), table, [crop(rng)])
    found = sweep_layers(sweep, "key", tmp_path / "journal.jsonl")
    assert found["conv"] == {"sqnr_db": None, "died": how}
    tried.clear()
    assert sweep_layers(sweep, "key", tmp_path / "journal.jsonl") == found
    assert tried == again
