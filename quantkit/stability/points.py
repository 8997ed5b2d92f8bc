"""One table on the curve: how large its calibration set is, and what it does to the network."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """The table of one calibration set, judged on crops that no set of the curve holds.

    Attributes:
        size: Number of crops of the set.
        seed: Seed by which they were drawn.
        sqnr_db: SQNR of the int8 network's outputs against those of fp32, in dB; None where nothing
            differs or the outputs are not finite.
        oks: Mean similarity of its keypoints to those of fp32, from 0 to 1; None where its outputs
            give no keypoints.
        ap_drop: AP that it loses against fp32 on the same persons.
        ap_drop_ci: 95 % interval of the drop over the images.
        scales: Activation scale by layer, of the layers that are in int8.
    """

    size: int
    seed: int
    sqnr_db: float | None
    oks: float | None
    ap_drop: float | None
    ap_drop_ci: tuple[float, float] | None
    scales: Mapping[str, float]
