"""MMPose's HourglassNet with a stem as narrow as the rest of a small network.

An MMPose config imports this module by `custom_imports`; nothing else needs to.
"""

from collections.abc import Sequence
from typing import Any

from quantkit.errors import Unavailable
from quantkit.model.mmlab import import_mmpose

try:
    import_mmpose()
except Unavailable as error:
    # What imports modules by name, as MMPose's configs do, understands this one.
    raise ImportError(str(error)) from error

from mmcv.cnn import ConvModule
from mmpose.models.backbones.hourglass import HourglassNet
from mmpose.models.backbones.resnet import BasicBlock, ResLayer
from mmpose.registry import MODELS
from torch import nn


@MODELS.register_module(force=True)
class NarrowHourglassNet(HourglassNet):  # type: ignore[misc]
    """HourglassNet whose stem has a chosen width; everything else is HourglassNet's own.

    HourglassNet's stem ends in 256 channels whatever `stage_channels` says, which is more than a
    whole network of a few MB can have. Here it ends in `stage_channels[0]`.

    Args:
        stem_channels: Channels of the first convolution.
        stage_channels: Channels of each level of the hourglass, from fine to coarse.
        norm_cfg: MMPose's configuration of the normalization layers.
        kwargs: The other arguments of HourglassNet.
    """

    def __init__(
        self,
        stem_channels: int = 16,
        stage_channels: Sequence[int] = (32, 48, 64, 96),
        norm_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        norm_cfg = norm_cfg or {"type": "BN", "requires_grad": True}
        super().__init__(stage_channels=stage_channels, norm_cfg=norm_cfg, **kwargs)
        width = stage_channels[0]
        self.stem = nn.Sequential(
            ConvModule(3, stem_channels, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            ResLayer(BasicBlock, 1, stem_channels, width, stride=2, norm_cfg=norm_cfg),
        )
