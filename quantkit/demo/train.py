"""Train the demo's network on rendered people: `python -m quantkit.demo.train`.

Two cores need about half an hour (bfloat16 is used where the processor computes with it), a GPU
needs minutes. The same seed and the same processor give the same checkpoint. Every minute the
state is written to the work directory: the same command after a kill goes on from there.

The held-out score is taken on pictures of the `train` stream that are not trained on; the demo's
calibration and validation pictures are never seen here.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import numpy as np

from quantkit.demo.network import CHECKPOINT, write_checkpoint
from quantkit.demo.samples import Batch, Sample, draw_batch, render_samples
from quantkit.demo.training import Run, Training, resume, save, score, start, take_step
from quantkit.storage import content_key

_STATE_SECONDS: Final = 60.0
_REPORT_SECONDS: Final = 10.0
_SCORES: Final = 20
_MEASURED_STEPS: Final = 12


def train(
    training: Training,
    output: Path,
    work: Path,
    device: str = "auto",
    minutes: float | None = None,
) -> None:
    """Train and write the checkpoint.

    Args:
        training: What to do.
        output: The checkpoint.
        work: Folder of the state file.
        device: `cpu`, `cuda` or `auto`.
        minutes: Take as many steps as fit in this time, measured on the first ones, but not more
            than `training.steps`.

    Raises:
        Unavailable: torch or mmpose is not installed.
    """
    samples = render_samples(0, training.pictures, processes=2, progress=_Report())
    held_out = render_samples(training.pictures, training.held_out, processes=1)
    if minutes is not None:
        training = replace(training, steps=_steps_in(60 * minutes, training, device, samples))
    run = start(training, device)
    state = work / f"train-{content_key(asdict(training))[:16]}.pth"
    if resume(run, state):
        _say(f"going on at step {run.step} from {state}")
    _loop(run, samples, held_out, state)
    result = score(run.network, held_out)
    meta = {"training": asdict(training), "held_out_score": round(result, 4)}
    write_checkpoint(run.network, output, meta)
    _say(f"held-out score {result:.3f}, written to {output}")


def _loop(run: Run, samples: list[Sample], held_out: list[Sample], state: Path) -> None:
    steps = run.training.steps
    report, saved = _Report(run.step), time.monotonic()
    losses: list[float] = []
    for batch in _batches(samples, run.training, run.step):
        losses.append(take_step(run, batch))
        report("train", run.step, steps)
        if run.step % max(1, steps // _SCORES) == 0:
            result = score(run.network, held_out)
            _say(f"step {run.step}: loss {np.mean(losses):.6f}, held-out score {result:.3f}")
            losses = []
        if time.monotonic() - saved > _STATE_SECONDS:
            save(run, state)
            saved = time.monotonic()


def _batches(samples: list[Sample], training: Training, first: int) -> Iterator[Batch]:
    """Make each batch while the one before it is learned from."""

    def draw(step: int) -> Batch:
        return draw_batch(samples, training.batch, training.seed, step)

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(draw, first)
        for step in range(first, training.steps):
            batch = following.result()
            following = pool.submit(draw, step + 1)
            yield batch


def _steps_in(seconds: float, training: Training, device: str, samples: list[Sample]) -> int:
    run, moments = start(training, device), []
    for batch in _batches(samples, replace(training, steps=_MEASURED_STEPS), 0):
        take_step(run, batch)
        moments.append(time.monotonic())
    a_step = (moments[-1] - moments[0]) / (_MEASURED_STEPS - 1)
    return max(1, min(training.steps, int(seconds / a_step)))


class _Report:
    """Says on stderr, every few seconds, how far a stage is and how long it will take."""

    def __init__(self, first: int = 0) -> None:
        self._first, self._started = first, time.monotonic()
        self._said = self._started

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < _REPORT_SECONDS and done < total:
            return
        self._said = now
        left = (now - self._started) / max(1, done - self._first) * (total - done)
        _say(f"{stage} {done}/{total}, {left / 60:.1f} minutes left")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo's network on rendered people.")
    parser.add_argument("--steps", type=int, default=Training.steps)
    parser.add_argument("--minutes", type=float, help="as many of the steps as fit")
    parser.add_argument("--seed", type=int, default=Training.seed)
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    parser.add_argument("--work", type=Path, default=Path("work_dirs/demo"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    training = Training(steps=given.steps, seed=given.seed)
    train(training, given.output, given.work, given.device, given.minutes)


if __name__ == "__main__":
    _main()
