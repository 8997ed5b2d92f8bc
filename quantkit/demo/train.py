"""Train the demo's network on rendered people: `python -m quantkit.demo.train`.

Two cores need about half an hour (bfloat16 is used where the processor computes with it), a GPU
needs minutes. The same seed and the same processor give the same checkpoint. Every minute the
state is written to the work directory: the same command after a kill goes on from there.

The held-out score is taken on pictures of the `train` stream that are not trained on; the demo's
calibration and validation pictures are never seen here.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.demo.agreement import mean_recall
from quantkit.demo.network import CHECKPOINT, build_network, write_checkpoint
from quantkit.demo.samples import Batch, Sample, centered, draw_batch, render_samples
from quantkit.optional import require
from quantkit.storage import content_key, write_atomically

_MEAN: Final = (123.675, 116.28, 103.53)
_STD: Final = (58.395, 57.12, 57.375)
_STATE_SECONDS: Final = 60.0
_REPORT_SECONDS: Final = 10.0
_SCORES: Final = 20


@dataclass(frozen=True)
class Training:
    """Everything that decides what comes out.

    Attributes:
        steps: Number of batches.
        batch: Persons to a batch.
        rate: Highest learning rate of Adam; a warm-up leads to it, a cosine away from it.
        warm_up: Steps of the warm-up.
        decay: Decoupled weight decay.
        seed: Of the initial weights, the order and the augmentation.
        pictures: Rendered pictures to train on, and after them those held out.
        held_out: How many are held out.
    """

    steps: int = 14_000
    batch: int = 32
    rate: float = 4e-3
    warm_up: int = 500
    decay: float = 1e-4
    seed: int = 0
    pictures: int = 10_000
    held_out: int = 250


@dataclass
class _Run:
    """One training under way."""

    torch: ModuleType
    device: Any
    network: Any
    optimizer: Any
    step: int


def train(training: Training, output: Path, work: Path, device: str, minutes: float | None) -> None:
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
    run = _start(training, device)
    if minutes is not None:
        training = replace(training, steps=_steps_in(60 * minutes, run, samples, training))
        run = _start(training, device)
    state = work / f"train-{content_key(asdict(training))[:16]}.pth"
    _resume(run, state)
    _loop(run, training, samples, held_out, state)
    score = score_on(run.network, held_out)
    _say(f"held-out score {score:.3f}, written to {output}")
    meta = {"training": asdict(training), "held_out_score": round(score, 4)}
    write_checkpoint(run.network, output, meta)


def score_on(network: Any, samples: list[Sample]) -> float:
    """Score a network: see `mean_recall`."""
    torch = require("torch", extra="mmpose", purpose="Training")
    device = next(network.parameters()).device
    network.eval()
    heatmaps: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for first in range(0, len(samples), 64):
            crops = np.stack([centered(sample)[0] for sample in samples[first : first + 64]])
            heatmaps.append(_forward(network, _inputs(torch, crops, device)).cpu().numpy())
    network.train()
    return mean_recall(np.concatenate(heatmaps), samples)


def take_step(run: _Run, training: Training, batch: Batch) -> float:
    """Take one step.

    Returns:
        The loss: MMPose's KeypointMSELoss with target weights.
    """
    torch = run.torch
    for group in run.optimizer.param_groups:
        group["lr"] = _rate(training, run.step)
    target = torch.from_numpy(batch.heatmaps).to(run.device)
    weight = torch.from_numpy(batch.weights).to(run.device)[:, :, None, None]
    fast = run.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=fast):
        heatmaps = _forward(run.network, _inputs(torch, batch.images, run.device))
    loss = ((heatmaps.float() - target).square() * weight).mean()
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    run.step += 1
    return float(loss)


def _start(training: Training, device: str) -> _Run:
    torch = require("torch", extra="mmpose", purpose="Training")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(training.seed)
    network = build_network().to(device).to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.rate, weight_decay=training.decay
    )
    return _Run(torch, torch.device(device), network, optimizer, 0)


def _loop(
    run: _Run, training: Training, samples: list[Sample], held_out: list[Sample], state: Path
) -> None:
    report, saved, losses = _Report(run.step), time.monotonic(), []
    for batch in _batches(samples, training, run.step):
        losses.append(take_step(run, training, batch))
        report("train", run.step, training.steps)
        if run.step % max(1, training.steps // _SCORES) == 0:
            score = score_on(run.network, held_out)
            _say(f"step {run.step}: loss {np.mean(losses):.6f}, held-out score {score:.3f}")
            losses = []
        if time.monotonic() - saved > _STATE_SECONDS:
            _save(run, state)
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


def _forward(network: Any, images: Any) -> Any:
    return network.head(network.backbone(images))[0]


def _inputs(torch: ModuleType, images: NDArray[np.uint8], device: Any) -> Any:
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    mean = torch.tensor(_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(_STD, device=device).view(3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def _rate(training: Training, step: int) -> float:
    warm = min(1.0, (step + 1) / training.warm_up)
    cosine = 0.5 * (1.0 + float(np.cos(np.pi * step / training.steps)))
    return training.rate * warm * cosine


def _steps_in(seconds: float, run: _Run, samples: list[Sample], training: Training) -> int:
    few = replace(training, steps=12)
    started = 0.0
    for batch in _batches(samples, few, 0):
        take_step(run, few, batch)
        started = started or time.monotonic()
    return min(training.steps, int(seconds / ((time.monotonic() - started) / (few.steps - 1))))


def _save(run: _Run, state: Path) -> None:
    buffer = io.BytesIO()
    parts = {"network": run.network.state_dict(), "optimizer": run.optimizer.state_dict()}
    run.torch.save({"step": run.step, **parts}, buffer)
    write_atomically(state, buffer.getvalue())


def _resume(run: _Run, state: Path) -> None:
    if not state.exists():
        return
    saved = run.torch.load(state, map_location=run.device, weights_only=True)
    run.network.load_state_dict(saved["network"])
    run.optimizer.load_state_dict(saved["optimizer"])
    run.step = saved["step"]
    _say(f"going on at step {run.step} from {state}")


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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=Training.steps)
    parser.add_argument("--minutes", type=float, help="as many steps as fit")
    parser.add_argument("--seed", type=int, default=Training.seed)
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    parser.add_argument("--work", type=Path, default=Path("work_dirs/demo"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    training = Training(steps=given.steps, seed=given.seed)
    train(training, given.output, given.work, given.device, given.minutes)


if __name__ == "__main__":
    _main()
