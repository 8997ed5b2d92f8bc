"""`quantkit eval`, killed at any moment and started again."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.projects import small_project

pytestmark = pytest.mark.slow

IMAGES = 100
PERSONS = 2 * IMAGES
BOTH = ("ncnn", "ncnn-int8")


def start(folder: Path, backends: Sequence[str]) -> subprocess.Popen[str]:
    named = [word for name in backends for word in ("--backend", name)]
    return subprocess.Popen(
        (sys.executable, "-m", "quantkit", "eval", "--table", "kl", "--threads", "1", *named),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, backends: Sequence[str] = BOTH) -> str:
    process = start(folder, backends)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return err


def killed(folder: Path, when: Callable[[], bool]) -> None:
    """Run the command until `when` says so, then end it with SIGKILL."""
    process = start(folder, BOTH)
    limit = time.monotonic() + 60
    while not when() and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def results(folder: Path) -> dict[str, Any]:
    """Everything an evaluation leaves, but for the times, which no two runs share."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "work_dirs/small/eval").iterdir()):
        found[path.name] = path.read_bytes()
    value = json.loads(found["eval.json"])
    found["eval.json"] = [{**row, "ms_per_instance": 0} for row in value["rows"]]
    rows = csv.DictReader(found["eval.csv"].decode().splitlines())
    found["eval.csv"] = [{**row, "ms_per_instance": 0} for row in rows]
    return found


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project that is calibrated but not evaluated, and a copy that is."""
    fresh = tmp_path_factory.mktemp("fresh") / "project"
    small_project(fresh, images=IMAGES)
    whole = fresh.parent / "whole"
    shutil.copytree(fresh, whole)
    finish(whole)
    shutil.copytree(whole, fresh, dirs_exist_ok=True, ignore=shutil.ignore_patterns("eval"))
    return fresh, whole


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    undisturbed: tuple[Path, Path], tmp_path: Path, seed: int
) -> None:
    fresh, whole = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    backend = BOTH[seed % 2]
    journal = folder / f"work_dirs/small/eval/{backend}.predictions.jsonl"
    enough = random.Random(seed).randrange(1, PERSONS // 2)
    killed(folder, lambda: lines(journal) >= enough)
    kept = lines(journal)
    assert enough <= kept < PERSONS
    # As a kill in the middle of a write would leave it.
    with journal.open("ab") as file:
        file.write(journal.read_bytes().splitlines()[0][: 40 * (seed + 1)])
    err = finish(folder)
    assert f"{backend}: goes on after {kept} of {PERSONS} persons" in err
    assert results(folder) == results(whole)


@pytest.mark.parametrize(
    "changed", ["model/net.bin", "val.json", "val/001003.png", "quantkit.toml"]
)
def test_nothing_that_depends_on_something_changed_is_gone_on_with(
    undisturbed: tuple[Path, Path], tmp_path: Path, changed: str
) -> None:
    fresh, _ = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    journal = folder / "work_dirs/small/eval/ncnn.predictions.jsonl"
    killed(folder, lambda: lines(journal) >= 5)
    path = folder / changed
    data = path.read_bytes()
    path.write_bytes(
        {
            ".bin": data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
            ".json": data.replace(b'"iscrowd": 0', b'"iscrowd":  0', 1),
            ".png": (path.parent / "001004.png").read_bytes() if path.suffix == ".png" else b"",
            ".toml": data.replace(b'color = "rgb"', b'color = "bgr"'),
        }[path.suffix]
    )
    assert path.read_bytes() != data
    assert "goes on after" not in finish(folder, ("ncnn",))
    assert not journal.exists()
