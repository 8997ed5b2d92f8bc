"""How many blobs each of ncnn's layer types reads and makes.

ncnn does not check the counts and crashes on wrong ones. Facts: ncnn src/layer/*.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_ANY = 2**15


@dataclass(frozen=True)
class Arity:
    """Fewest and most bottoms and tops, both inclusive."""

    bottoms: tuple[int, int]
    tops: tuple[int, int]

    def admits(self, bottoms: int, tops: int) -> bool:
        """Tell whether a layer may have these counts.

        Example:
            >>> ARITIES["ReLU"].admits(1, 1), ARITIES["ReLU"].admits(0, 1)
            (True, False)
        """
        return (
            self.bottoms[0] <= bottoms <= self.bottoms[1] and self.tops[0] <= tops <= self.tops[1]
        )


def _arities(types: str, bottoms: tuple[int, int], tops: tuple[int, int]) -> dict[str, Arity]:
    return dict.fromkeys(types.split(), Arity(bottoms, tops))


ARITIES: Final[Mapping[str, Arity]] = {
    **_arities("Input MemoryData", (0, 0), (1, 1)),
    **_arities("Split Slice", (1, 1), (1, _ANY)),
    **_arities("Noop", (0, _ANY), (0, _ANY)),
    **_arities(
        "Concat Eltwise Reshape Crop Interp Einsum MultiHeadAttention", (1, _ANY), (1, _ANY)
    ),
    **_arities("BinaryOp Scale Gemm", (0, 3), (1, 1)),
    **_arities("MatMul CopyTo GridSample PriorBox", (1, 3), (1, 1)),
    **_arities("SDPA RotaryEmbed", (1, _ANY), (1, _ANY)),
    **_arities("LSTM GRU RNN", (1, 3), (1, 3)),
    **_arities("DeformableConv2D ROIPooling ROIAlign PSROIPooling", (1, 3), (1, 1)),
    **_arities("DetectionOutput Proposal", (1, _ANY), (1, _ANY)),
    **_arities("YoloDetectionOutput Yolov3DetectionOutput", (1, _ANY), (1, 1)),
    **_arities("Pooling Pooling1D Pooling3D", (1, 1), (1, 2)),
    **_arities(
        "Convolution Convolution1D ConvolutionDepthWise ConvolutionDepthWise1D Deconvolution "
        "Deconvolution1D DeconvolutionDepthWise DeconvolutionDepthWise1D",
        (1, 3),
        (1, 1),
    ),
    **_arities(
        "AbsVal ArgMax BNLL BatchNorm Bias CELU Cast Clip Convolution3D ConvolutionDepthWise3D "
        "CumulativeSum Deconvolution3D DeconvolutionDepthWise3D DeepCopy Dequantize Diag Dropout "
        "ELU Embed Erf Exp ExpandDims Flatten Flip Fold GELU GLU GroupNorm HardSigmoid HardSwish "
        "InnerProduct InstanceNorm InverseSpectrogram LRN LayerNorm Log MVN Mish Normalize PReLU "
        "Packing Padding Permute PixelShuffle Power Quantize RMSNorm ReLU Reduction Reorg "
        "Requantize SELU SPP Shrink ShuffleChannel Sigmoid Softmax Softplus Spectrogram Squeeze "
        "StatisticsPooling Swish TanH Threshold Tile UnaryOp Unfold",
        (1, 1),
        (1, 1),
    ),
}
