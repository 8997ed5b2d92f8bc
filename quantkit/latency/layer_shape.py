"""What a layer's time depends on: its type, its parameters and the shape of its input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantkit.model.eligibility import INT8_TERM
from quantkit.model.feature_mask import FEATURE_MASK
from quantkit.model.param import Layer
from quantkit.model.param_tokens import split_parameters
from quantkit.model.shape_rule import Shape

_NAME, _IN, _OUT = "layer", "in", "out"


@dataclass(frozen=True)
class LayerShape:
    """A layer without its name and its weights.

    Attributes:
        type: ncnn's layer type.
        params: Its parameters as in a .param file, but for those of int8 and of features.
        input: Shape of the blob that it reads.
    """

    type: str
    params: str
    input: Shape

    @property
    def layer(self) -> Layer:
        """The layer, reading the blob `in` and making the blob `out`."""
        return Layer(self.type, _NAME, (_IN,), (_OUT,), split_parameters(self.params))

    def __str__(self) -> str:
        """Write it as a person would."""
        return f"{self.type} {self.params} on {'x'.join(map(str, self.input))}"


def layer_shape(layer: Layer, shapes: Mapping[str, Shape]) -> LayerShape:
    """Take what a layer's time depends on.

    Args:
        layer: A layer that reads one blob.
        shapes: Shape by blob name.

    Example:
        >>> conv = Layer("Convolution", "c", ("a",), ("b",), {0: "8", 1: "1", 6: "24", 8: "2"})
        >>> str(layer_shape(conv, {"a": (3, 10, 10)}))
        'Convolution 0=8 1=1 6=24 on 3x10x10'
    """
    plain = layer.with_params({INT8_TERM: None, FEATURE_MASK: None})
    params = " ".join(f"{key}={value}" for key, value in plain.params.items())
    return LayerShape(layer.type, params, tuple(shapes[layer.bottoms[0]]))


def distinct(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> tuple[LayerShape, ...]:
    """List the shapes of layers, each once, in the order of their first layer."""
    return tuple(dict.fromkeys(layer_shape(layer, shapes) for layer in layers))


def takes_winograd(layer: Layer) -> bool:
    """Tell whether ncnn may compute a layer by Winograd's method: 3x3, stride 1, not grouped.

    Example:
        >>> takes_winograd(Layer("Convolution", "c", ("a",), ("b",), {0: "8", 1: "3"}))
        True
    """
    kernel, dilation, stride = (layer.int_param(k, d) for k, d in ((1, 0), (2, 1), (3, 1)))
    height = tuple(layer.int_param(k, d) for k, d in ((11, kernel), (12, dilation), (13, stride)))
    square = (kernel, dilation, stride) == (3, 1, 1) == height
    return layer.type == "Convolution" and square
