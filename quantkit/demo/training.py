"""One training of the demo's network: settings, state, single steps and the held-out score."""

import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.demo.agreement import mean_recall
from quantkit.demo.network import build_network
from quantkit.demo.samples import Batch, Sample, centered
from quantkit.optional import require
from quantkit.storage import write_atomically

_MEAN: Final = (123.675, 116.28, 103.53)
_STD: Final = (58.395, 57.12, 57.375)
_PURPOSE: Final = "Training"


@dataclass(frozen=True)
class Training:
    """Everything that decides what comes out.

    Attributes:
        steps: Number of batches.
        batch: Persons to a batch.
        rate: Highest learning rate of AdamW; a warm-up leads to it, a cosine away from it.
        warm_up: Steps of the warm-up.
        decay: Decoupled weight decay.
        seed: Of the initial weights, the order and the augmentation.
        pictures: Rendered pictures to train on, and after them those held out.
        held_out: How many are held out.
    """

    steps: int = 20_000
    batch: int = 32
    rate: float = 4e-3
    warm_up: int = 500
    decay: float = 1e-4
    seed: int = 0
    pictures: int = 10_000
    held_out: int = 250


@dataclass
class Run:
    """One training under way.

    Attributes:
        training: What was asked for.
        torch: The module.
        network: The MMPose model, in training mode.
        optimizer: AdamW over its weights.
        step: How many steps were taken.
    """

    training: Training
    torch: ModuleType
    network: Any
    optimizer: Any
    step: int = 0


def start(training: Training, device: str) -> Run:
    """Build the network and its optimizer.

    Args:
        training: What to do.
        device: `cpu`, `cuda`, or `auto` for the GPU where there is one.

    Raises:
        Unavailable: torch or mmpose is not installed.
    """
    torch = require("torch", extra="mmpose", purpose=_PURPOSE)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(training.seed)
    network = build_network().to(device).to(memory_format=torch.channels_last)
    network.train()
    weights = network.parameters()
    optimizer = torch.optim.AdamW(weights, lr=training.rate, weight_decay=training.decay)
    return Run(training, torch, network, optimizer)


def take_step(run: Run, batch: Batch) -> float:
    """Take one step, in bfloat16 where the device computes with it.

    Returns:
        The loss: MMPose's KeypointMSELoss with target weights.
    """
    torch, device = run.torch, _device(run.network)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(run.training, run.step)
    target = torch.from_numpy(batch.heatmaps).to(device)
    weight = torch.from_numpy(batch.weights).to(device)[:, :, None, None]
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    with torch.autocast(device.type, torch.bfloat16, enabled=fast):
        heatmaps = _forward(run.network, _inputs(torch, batch.images, device))
    loss = ((heatmaps.float() - target).square() * weight).mean()
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    run.step += 1
    return float(loss.detach())


def learning_rate(training: Training, step: int) -> float:
    """Compute the learning rate: a linear warm-up times a cosine that ends at 0.

    Example:
        >>> short = Training(steps=100, rate=1.0, warm_up=10)
        >>> [round(learning_rate(short, step), 3) for step in (0, 50, 100)]
        [0.1, 0.5, 0.0]
    """
    warm = min(1.0, (step + 1) / training.warm_up)
    cosine = 0.5 * (1.0 + float(np.cos(np.pi * step / training.steps)))
    return training.rate * warm * cosine


def score(network: Any, samples: list[Sample]) -> float:
    """Score a network on persons: see `mean_recall`."""
    torch = require("torch", extra="mmpose", purpose=_PURPOSE)
    device, was_training = _device(network), network.training
    network.eval()
    heatmaps: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for first in range(0, len(samples), 64):
            crops = np.stack([centered(sample)[0] for sample in samples[first : first + 64]])
            heatmaps.append(_forward(network, _inputs(torch, crops, device)).cpu().numpy())
    network.train(was_training)
    return mean_recall(np.concatenate(heatmaps), samples)


def save(run: Run, path: Path) -> None:
    """Write what `resume` needs."""
    buffer = io.BytesIO()
    parts = {"network": run.network.state_dict(), "optimizer": run.optimizer.state_dict()}
    run.torch.save({"step": run.step, **parts}, buffer)
    write_atomically(path, buffer.getvalue())


def resume(run: Run, path: Path) -> bool:
    """Go on from a state that `save` wrote, if there is one.

    Returns:
        Whether there was.
    """
    if not path.exists():
        return False
    saved = run.torch.load(path, map_location=_device(run.network), weights_only=True)
    run.network.load_state_dict(saved["network"])
    run.optimizer.load_state_dict(saved["optimizer"])
    run.step = saved["step"]
    return True


def _device(network: Any) -> Any:
    return next(network.parameters()).device


def _forward(network: Any, images: Any) -> Any:
    return network.head(network.backbone(images))[0]


def _inputs(torch: ModuleType, images: NDArray[np.uint8], device: Any) -> Any:
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    mean = torch.tensor(_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(_STD, device=device).view(3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
