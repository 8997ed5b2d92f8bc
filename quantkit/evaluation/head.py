"""What is known of a network's head."""

from dataclasses import dataclass
from typing import Literal

from quantkit.data.coco_file import KEYPOINTS

HeadType = Literal["heatmap", "simcc", "none"]
Decode = Literal["default", "dark", "udp", "udp_combined"]


@dataclass(frozen=True)
class HeadSpec:
    """How the outputs of a network are read.

    Attributes:
        type: `heatmap`: one output (keypoints, height, width); `simcc`: two, (keypoints, bins
            along x) and (keypoints, bins along y); `none`: outputs of which no keypoints are read.
        decode: How a maximum is refined. Of a heatmap: `default` (a quarter pixel), `dark`, `udp`
            or `udp_combined` (by two maps of offsets a keypoint: the output has three times as
            many maps). Of a simcc head: `default` (not at all) or `dark`.
        keypoints: How many keypoints the network gives; 0 for a head of type `none`.
        simcc_split_ratio: Bins per input pixel of a simcc head.
        blur_kernel_size: Gaussian of a heatmap's `dark`, `udp` and `udp_combined` in heatmap
            pixels: 11 for a heatmap that was trained with sigma 2, 17 for sigma 3.
        simcc_sigma: Along x and y, the Gaussians in bins that a simcc head was trained on, for its
            `dark`.
        radius_factor: Unit of the offsets of `udp_combined`, in lengths of the heatmap's longer
            side.
        flip_test: Every person is shown mirrored, too, and both outputs are averaged.
        shift_heatmap: The flip test moves the mirrored heatmaps by a pixel.
    """

    type: HeadType = "heatmap"
    decode: Decode = "default"
    keypoints: int = KEYPOINTS
    simcc_split_ratio: float = 2.0
    blur_kernel_size: int = 11
    simcc_sigma: tuple[float, float] = (6.0, 6.0)
    radius_factor: float = 0.0546875
    flip_test: bool = False
    shift_heatmap: bool = False

    @property
    def has_sigmas(self) -> bool:
        """Whether OKS and AP are defined, which COCO does for its own 17 keypoints."""
        return self.keypoints == KEYPOINTS

    @property
    def keypoints_text(self) -> str:
        """How many keypoints a message says that there are."""
        return str(self.keypoints) if self.keypoints else "none that are read"

    @property
    def maps(self) -> int:
        """Maps of a heatmap head."""
        return self.keypoints * (3 if self.decode == "udp_combined" else 1)
