"""Forms chosen by a model of what an error costs the outputs, without a run of the int8 network.

The gradients of a few random sums of the outputs, +1 or -1 times each element, at the input of a
layer: their mean square is the diagonal of J^T J, J being the outputs by that input, so it says
what a small error there costs. It is the Gauss-Newton approximation (LeCun et al., "Optimal Brain
Damage", 1989, for weights), with Hutchinson's estimator of a diagonal.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.optional import require
from quantkit.progress import Progress, silent
from quantkit.tuning.distillation.fake_quantization import LEVELS
from quantkit.tuning.distillation.layer_call import Tensor
from quantkit.tuning.distillation.torch_network import TorchNetwork
from quantkit.tuning.distillation.training import torch_threads
from quantkit.tuning.forms.input_form import Floats, InputForm, Shape, takes_forms

SHAPES: Final = tuple(
    Shape(exponent, clip, zero_point)
    for exponent, clip, zero_point in product(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        (1.0, 0.8, 0.6, 0.45, 0.33, 0.22, 0.14, 0.08, 0.04),
        (False, True),
    )
)
"""What is tried for each layer."""
STAGE: Final = "forms of the inputs"
_PROBES: Final = 4
_PROBED: Final = 16
"""Crops whose gradients are taken."""
_BATCH: Final = 4

Array = NDArray[np.float32]
Weights = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class FormSetting:
    """What forms are chosen by.

    Attributes:
        input: The network's input blob.
        outputs: Its output blobs.
        crops: Training crops of shape (channels, height, width), whose ranges are taken.
        threads: Of torch.
        seed: Of the random sums.
        progress: Told after each batch.
    """

    input: str
    outputs: tuple[str, ...]
    crops: Sequence[Array]
    threads: int = 2
    seed: int = 0
    progress: Progress = field(default=silent)


def choose_forms(
    network: Network, layers: Collection[str], setting: FormSetting
) -> dict[str, InputForm]:
    """Choose the form of each layer's input, as if all other layers were fp32.

    Args:
        network: The fp32 network.
        layers: Names of its int8 layers; those that cannot have a form are left out.
        setting: The crops, and how they are run.

    Returns:
        The form of least cost by layer name.

    Raises:
        InputError: A layer cannot be computed in torch; it is named.
        Unavailable: torch is not installed.
    """
    torch = require("torch", extra="torch", purpose="Choosing forms of the inputs")
    model = TorchNetwork.of(
        torch, network.param, setting.input, setting.crops[0].shape, setting.outputs
    )
    read = [one for one in model.param.layers if one.name in layers and takes_forms(one)]
    chosen = {one.name: one for one in read if len(model.shapes[one.bottoms[0]]) == 3}
    if not chosen:
        return {}
    weights = {
        name: {role: torch.from_numpy(x.astype(np.float32)) for role, x in one.items()}
        for name, one in network.weights.items()
    }
    with torch_threads(torch, setting.threads):
        ranges = _ranges(model, weights, chosen, setting)
        errors = [
            _LayerErrors(layer, network.weights[name]["weight"], *ranges[name])
            for name, layer in chosen.items()
        ]
        for seen in _gradients(model, weights, chosen, setting):
            for one in errors:
                one.add(torch, *seen.pop(one.layer.name))
    return {one.layer.name: one.cheapest() for one in errors}


def _ranges(
    model: TorchNetwork, weights: Weights, layers: Mapping[str, Layer], setting: FormSetting
) -> dict[str, tuple[Floats, Floats]]:
    found: dict[str, tuple[Floats, Floats]] = {}

    def read(layer: Layer, bottom: Tensor) -> Tensor:
        if layer.name in layers:
            low, high = bottom.amin((0, 2, 3)).numpy(), bottom.amax((0, 2, 3)).numpy()
            lowest, highest = found.get(layer.name, (low, high))
            found[layer.name] = np.minimum(low, lowest), np.maximum(high, highest)
        return bottom

    with model.torch.no_grad():
        for batch in _batches(model, setting, setting.crops, f"{STAGE}, ranges"):
            model(batch, lambda layer: weights.get(layer.name, {}), read)
    return {name: (low.astype(float), high.astype(float)) for name, (low, high) in found.items()}


def _gradients(
    model: TorchNetwork, weights: Weights, layers: Mapping[str, Layer], setting: FormSetting
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Yield, batch by batch, each layer's input and the mean square of its gradients."""
    torch = model.torch
    draw = np.random.default_rng(setting.seed)
    probed = draw.permutation(len(setting.crops))[:_PROBED]
    crops = [setting.crops[number] for number in probed.tolist()]
    for batch in _batches(model, setting, crops, f"{STAGE}, gradients"):
        seen: dict[str, Tensor] = {}

        def read(layer: Layer, bottom: Tensor, seen: dict[str, Tensor] = seen) -> Tensor:
            if layer.name not in layers:
                return bottom
            if not bottom.requires_grad:
                bottom = bottom.detach().requires_grad_(True)
            # A view of its own, so that siblings that read one blob have a gradient each.
            seen[layer.name] = own = bottom.view_as(bottom)
            return own

        outputs = model(batch, lambda layer: weights.get(layer.name, {}), read)
        tensors = list(seen.values())
        squares = [torch.zeros_like(one) for one in tensors]
        for probe in range(_PROBES):
            total = sum(
                (
                    one * torch.from_numpy(draw.choice([-1.0, 1.0], one.shape).astype(np.float32))
                ).sum()
                / one.detach().square().sum().sqrt().clamp(min=1e-30)
                for one in outputs
            )
            # An output that no layer leads to has none, which is no cost.
            found = torch.autograd.grad(
                total, tensors, retain_graph=probe + 1 < _PROBES, allow_unused=True
            )
            for square, one in zip(squares, found, strict=True):
                if one is not None:
                    square.add_(one.square())
        inputs = [one.detach() for one in tensors]
        yield dict(zip(seen, zip(inputs, squares, strict=True), strict=True))


def _batches(
    model: TorchNetwork, setting: FormSetting, crops: Sequence[Array], stage: str
) -> Iterator[Tensor]:
    for start in range(0, len(crops), _BATCH):
        yield model.torch.from_numpy(np.stack(crops[start : start + _BATCH]))
        setting.progress(stage, min(start + _BATCH, len(crops)), len(crops))


class _LayerErrors:
    """What each form of one layer costs: the error of its input, and that of its weights."""

    def __init__(self, layer: Layer, weight: Any, lowest: Floats, highest: Floats) -> None:
        self.layer = layer
        forms = [InputForm.of(shape, lowest, highest) for shape in SHAPES]
        self._forms = [form for form in forms if form.suits(layer)]
        depthwise = layer.type == "ConvolutionDepthWise"
        rows = np.asarray(weight, np.float64).reshape(
            layer.int_param(0, 0), 1 if depthwise else len(lowest), -1
        )
        self._rows = rows.swapaxes(0, 1) if depthwise else rows
        self._depthwise = depthwise
        self._costs = np.zeros(len(self._forms))
        self._power = np.zeros(len(lowest))
        self._gradient = np.zeros(len(lowest))
        self._positions = 0

    def add(self, torch: Any, x: Tensor, square: Tensor) -> None:
        """Add what rounding the inputs of some crops costs."""
        for number, form in enumerate(self._forms):
            scale, zero = (
                torch.from_numpy(one.astype(np.float32))[:, None, None]
                for one in (form.scale, form.zero)
            )
            codes = (x * scale).add_(zero).round_().clamp_(-LEVELS, LEVELS)
            error = codes.sub_(zero).div_(scale).sub_(x)
            self._costs[number] += float(error.square_().mul_(square).sum())
        self._power += x.square().sum((0, 2, 3)).double().numpy()
        self._gradient += square.sum((0, 2, 3)).double().numpy()
        self._positions += x.shape[0] * x.shape[2] * x.shape[3]

    def cheapest(self) -> InputForm:
        """Give the form that costs the least, its weights rounded to the nearest included."""
        costs = [
            cost + self._weights_cost(form)
            for cost, form in zip(self._costs, self._forms, strict=True)
        ]
        return self._forms[int(np.argmin(costs))]

    def _weights_cost(self, form: InputForm) -> float:
        """Errors of weights, by the power of what they meet and the gradient behind them.

        The gradient at an output is guessed: all outputs have one that, through the weights, gives
        the gradient that was seen at the inputs.
        """
        power = np.square(self._rows).sum(2)
        behind = (
            self._gradient / np.maximum(power[0], 1e-12)
            if self._depthwise
            else np.array([self._gradient.sum() / max(power.sum(), 1e-12)])
        )
        divided = self._rows / form.scale[:, None]
        axes = (0, 2) if self._depthwise else (1, 2)
        step = np.abs(divided).max(axes, keepdims=True) / LEVELS
        step = np.maximum(step, 1e-30)
        error = np.square(np.round(divided / step) * step - divided).sum(2) * form.scale**2
        met = self._power / self._positions
        return float((error * met * (behind if self._depthwise else behind[:, None])).sum())
