"""What a layer in int8 does: to its own output, and to the outputs of the network."""

from dataclasses import dataclass
from typing import Literal

Labels = Literal["labels", "fp32 keypoints"]
"""What an AP is measured against."""


@dataclass(frozen=True)
class Signal:
    """A blob against the same blob of the fp32 network, over some crops.

    Attributes:
        sqnr_db: Signal to quantization noise ratio; None where nothing differs.
        cosine: Cosine similarity of all values, 1 where they point the same way.
    """

    sqnr_db: float | None
    cosine: float


@dataclass(frozen=True)
class Effect:
    """The outputs of a network that is partly in int8 against those of the fp32 network.

    Attributes:
        sqnr_db: Of the outputs; None where nothing differs, or where it `died`.
        cosine: Of the outputs; None where it died.
        peak_shift_px: Mean distance between the keypoints of both, in pixels of the network's
            input; None where it died, or where there is no head to read them.
        oks_drop: 1 less the mean OKS of the keypoints against those of fp32; None likewise, and
            for any number of keypoints but COCO's 17.
        ap_drop: AP of fp32 less this one; None where it was not measured, as for all below.
        ap_drop_ci: 95 % interval of it, from the same images for both.
        died: How the runtime ended: the signal's name, or that the outputs are not finite.
        peak_noise_db: Peak to noise ratio of the map of each keypoint, the mean of all (see
            `signals.peak_noise_db`): what layers are ranked by; None as for `sqnr_db`.
        peak_shift_p95_px: 95th percentile of the distances whose mean `peak_shift_px` is.
    """

    sqnr_db: float | None = None
    cosine: float | None = None
    peak_shift_px: float | None = None
    oks_drop: float | None = None
    ap_drop: float | None = None
    ap_drop_ci: tuple[float, float] | None = None
    died: str | None = None
    peak_noise_db: float | None = None
    peak_shift_p95_px: float | None = None


@dataclass(frozen=True)
class Advice:
    """What a measurement says about a layer, and what to do about it.

    Attributes:
        cause: Key of the rule that found it.
        sentence: The finding, in plain words with its figures.
        remedy: What to do.
        gain_db: Output SQNR that the remedy was measured to bring while all other layers are in
            int8; None where it was not measured.
    """

    cause: str
    sentence: str
    remedy: str
    gain_db: float | None = None
