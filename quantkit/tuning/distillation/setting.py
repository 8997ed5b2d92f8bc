"""What is learned from what, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from quantkit.model.network import Network
from quantkit.progress import Progress, silent
from quantkit.tuning.distillation.augmentation import Array, Augmentation


@dataclass(frozen=True)
class Rates:
    """Largest learning rate of each kind of parameter; 0 leaves that kind as it is.

    Attributes:
        integers: Of the weights, in levels.
        scales: Of the logarithm of the weights' scales.
        biases: In shares of what the largest weight gives for an input at its threshold.
        thresholds: Of the logarithm of the activations' thresholds.
        factors: Of the logarithm of the factors by which channels are scaled, as in equalization.
    """

    integers: float = 0.01
    scales: float = 0.0
    biases: float = 3e-5
    thresholds: float = 0.001
    factors: float = 0.005


@dataclass(frozen=True)
class DistillSetting:
    """What a network is learned from.

    Attributes:
        input: Its input blob.
        outputs: Its output blobs.
        crops: Training crops of shape (channels, height, width), to learn from.
        held_out: Other training crops, which tell in ncnn whether it helped.
        teacher: The fp32 network whose outputs are the aim; the network itself if not given.
        steps: Batches to learn from.
        batch: Crops to a batch.
        rates: How fast.
        augmentation: What is done to the crops.
        checks: How often the held-out crops are run on the way; the best state is kept.
        seed: Of the batches.
        threads: Of torch and of ncnn. The result depends on it in the last digits.
        progress: Told after each step.
    """

    input: str
    outputs: tuple[str, ...]
    crops: Sequence[Array]
    held_out: Sequence[Array]
    teacher: Network | None = None
    steps: int = 300
    batch: int = 4
    rates: Rates = field(default_factory=Rates)
    augmentation: Augmentation = field(default_factory=Augmentation)
    checks: int = 8
    seed: int = 0
    threads: int = 2
    progress: Progress = silent
