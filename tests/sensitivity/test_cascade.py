import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.progress import Feedback
from quantkit.sensitivity import cascade
from quantkit.sensitivity.cascade import Cascade, Found
from quantkit.sensitivity.isolated_map import Died, IsolatedPool
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.sessions import ALL_LAYERS, Measure, open_alone
from quantkit.sensitivity.sweep import Sweep
from tests.sensitivity.small_sweeps import small_sweep

LAYERS = ("stem", "depthwise", "residual", "excite", "head")


def ranked(sweep: Sweep, journal: Path, effort: Effort, feedback: Feedback | None = None) -> Found:
    kept = Journal(journal)
    return Cascade(sweep, sweep, effort, kept, workers=1, feedback=feedback).run()


def open_killed(sweep: Sweep) -> Measure:
    """As the session of layers alone, but one layer ends the process."""
    measure = open_alone(sweep)

    def killed(name: str) -> dict[str, Any]:
        if name == "residual":
            os.kill(os.getpid(), signal.SIGSEGV)
        return measure(name)

    return killed


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return small_sweep(tmp_path_factory.mktemp("net"), persons=6, layers=LAYERS)


@pytest.mark.slow
def test_every_layer_is_measured_in_both_directions(sweep: Sweep, tmp_path: Path) -> None:
    found = ranked(sweep, tmp_path / "j.jsonl", Effort(crops=2, ap_crops=6, ap_layers=3))
    assert tuple(found.layers) == LAYERS
    assert found.all_int8.sqnr_db is not None
    for one in found.layers.values():
        assert one["alone"]["sqnr_db"] > found.all_int8.sqnr_db
        assert one["without"]["sqnr_db"] > found.all_int8.sqnr_db - 3
        assert {"weights", "activations", "own", "inherited", "in_int8"} < set(one)
    measured = [name for name, one in found.layers.items() if one["alone"]["ap_drop"] is not None]
    assert measured == list(found.ap_layers) == list(found.trials)
    assert len(measured) == 3
    assert found.all_int8.ap_drop_ci is not None


@pytest.mark.slow
def test_a_layer_that_kills_the_runtime_is_recorded_and_the_others_go_on(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade, "open_alone", open_killed)
    found = ranked(sweep, tmp_path / "j.jsonl", Effort(crops=1, ap_crops=0, ap_layers=0))
    assert found.layers["residual"]["alone"]["died"] == "SIGSEGV"
    for name in set(LAYERS) - {"residual"}:
        assert found.layers[name]["without"]["died"] is None, name
    assert found.all_int8.sqnr_db is not None


@pytest.mark.slow
def test_a_kill_loses_one_layer(sweep: Sweep, tmp_path: Path) -> None:
    journal, effort = tmp_path / "j.jsonl", Effort(crops=1, ap_crops=0, ap_layers=0)

    def interrupted(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ranked(sweep, journal, effort, Feedback(interrupted))
    seen: list[tuple[str, int]] = []
    resumed = ranked(sweep, journal, effort, Feedback(lambda s, done, n: seen.append((s, done))))
    assert seen[0] == ("each layer alone in int8", 3)
    whole = ranked(sweep, tmp_path / "other.jsonl", effort)
    assert resumed.layers == whole.layers


class Dying(IsolatedPool):
    """In the place of the child processes: every task ends in the same way."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.tried: list[str] = []

    def map(
        self, open_session: Callable[..., Any], arguments: tuple[Any, ...], tasks: Sequence[Any]
    ) -> Iterator[tuple[Any, Any]]:
        for task in tasks:
            self.tried.append(task)
            yield task, Died(self.how)


@pytest.mark.parametrize(
    ("how", "again"),
    [
        ("SIGSEGV", []),
        ("SIGKILL (the system may be out of memory)", [*LAYERS, ALL_LAYERS]),
        ("SIGTERM", [*LAYERS, ALL_LAYERS]),
        ("exit code 1", [*LAYERS, ALL_LAYERS]),
    ],
)
def test_only_a_crash_of_its_own_is_kept_of_a_layer(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, again: list[str]
) -> None:
    dying = Dying(how)
    monkeypatch.setattr(cascade, "IsolatedPool", lambda workers: dying)
    effort = Effort(crops=1, ap_crops=0, ap_layers=0)
    journal = tmp_path / "j.jsonl"
    monkeypatch.setattr(Cascade, "_planned", lambda self: (effort, None))
    found = ranked(sweep, journal, effort)
    assert {one["alone"]["died"] for one in found.layers.values()} == {how}
    dying.tried.clear()
    assert ranked(sweep, journal, effort) == found
    assert dying.tried == again


def test_the_key_tells_apart_whatever_changes_a_figure(tmp_path: Path) -> None:
    sweep = small_sweep(tmp_path, persons=3, layers=LAYERS)
    other_table = CalibrationTable(
        sweep.table.weight_scales, {**sweep.table.activation_scales, "head": 1.0}
    )
    changed = [
        sweep.some(2),
        sweep.without(["head"]),
        Sweep(**{**vars_of(sweep), "table": other_table}),
        Sweep(**{**vars_of(sweep), "network_sha256": "0" * 64}),
        Sweep(**{**vars_of(sweep), "original_sha256": "0" * 64}),
        Sweep(**{**vars_of(sweep), "annotations": sweep.files.param}),
    ]
    assert len({sweep.key, *(one.key for one in changed)}) == len(changed) + 1
    assert small_sweep(tmp_path, persons=3, layers=LAYERS).key == sweep.key


def vars_of(sweep: Sweep) -> dict[str, Any]:
    return {name: getattr(sweep, name) for name in Sweep.__dataclass_fields__}


def test_a_model_that_changed_between_is_refused(tmp_path: Path) -> None:
    sweep = small_sweep(tmp_path, persons=1, layers=LAYERS)
    content = bytearray(sweep.files.bin.read_bytes())
    content[-1] ^= 1
    sweep.files.bin.write_bytes(content)
    with pytest.raises(InputError, match="changed while its layers were ranked"):
        sweep.network()


@pytest.mark.slow
def test_an_output_that_is_not_finite_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the fp32 outputs are not finite"):
        open_alone(small_sweep(tmp_path, persons=1, layers=("stem",), weights=3e38))


@pytest.mark.slow
def test_two_runs_at_once_do_not_spoil_each_other(sweep: Sweep, tmp_path: Path) -> None:
    journal, effort = tmp_path / "j.jsonl", Effort(crops=1, ap_crops=0, ap_layers=0)
    found: list[Found] = []

    def beside(stage: str, done: int, total: int) -> None:
        if done == 2 and not found:
            found.append(ranked(sweep, journal, effort))

    first = ranked(sweep, journal, effort, Feedback(beside))
    assert found[0].layers == first.layers
    lines = journal.read_bytes().splitlines()
    again = Journal(journal)
    assert len(lines) > 2 * len(LAYERS)
    assert len(again._records) == len({line.split(b'"')[3] for line in lines})
