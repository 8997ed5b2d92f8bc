"""Gradient descent on what int8 does to a network's outputs."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.tuning.distillation.augmentation import batches
from quantkit.tuning.distillation.parameters import Parameters
from quantkit.tuning.distillation.setting import DistillSetting, Rates
from quantkit.tuning.distillation.torch_network import TorchNetwork
from quantkit.tuning.outputs import outputs_on

_WARM_UP = 10
_BETAS = (0.9, 0.99)
_REMEMBERED = 50
"""Steps whose gradients tell how large one should be; crops with outliers give far larger ones."""


class Training:
    """Parameters under training, one step at a time; to be used as a context.

    Args:
        parameters: What is trained; changed in place.
        setting: How.
        teacher: The fp32 network.

    Raises:
        InputError: The graph cannot be computed in torch, or its outputs are zero.
    """

    def __init__(self, parameters: Parameters, setting: DistillSetting, teacher: Network) -> None:
        self._torch = parameters.torch
        self._parameters, self._setting = parameters, setting
        self._student = TorchNetwork.of(
            self._torch,
            parameters.network.param,
            setting.input,
            setting.crops[0].shape,
            setting.outputs,
        )
        self._teacher = _Teacher(teacher, setting)
        self._batches = batches(
            self._torch, setting.crops, setting.batch, setting.augmentation, setting.seed
        )
        self._optimizer = self._torch.optim.Adam(_trained(parameters, setting.rates), betas=_BETAS)
        self._norms: deque[float] = deque(maxlen=_REMEMBERED)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._open.enter_context(torch_threads(self._torch, self._setting.threads))
        self._open.enter_context(self._teacher)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def step(self, number: int) -> float:
        """Learn from the next batch.

        Args:
            number: Of the step, from 0; the learning rates follow a cosine down to zero.

        Returns:
            Noise to signal ratio on the batch, before the step.
        """
        factor = min(1.0, (number + 1) / _WARM_UP) * (
            0.5 + 0.5 * math.cos(math.pi * number / self._setting.steps)
        )
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        batch = next(self._batches)
        wanted = self._teacher.outputs(batch.numpy())
        # Depthwise convolutions are twice as fast so.
        batch = batch.contiguous(memory_format=self._torch.channels_last)
        found = self._student(batch, *self._parameters.bound())
        loss = sum(
            (x - self._torch.from_numpy(y).reshape(x.shape)).square().mean() / power
            for x, y, power in zip(found, wanted, self._teacher.powers, strict=True)
        ) / len(found)
        self._optimizer.zero_grad()
        loss.backward()
        self._clip()
        self._optimizer.step()
        return float(loss.detach())

    def _clip(self) -> None:
        """Shrink the gradient to the usual length, if it is longer."""
        tensors = [one for group in self._optimizer.param_groups for one in group["params"]]
        usual = float(np.median(self._norms)) if self._norms else math.inf
        norm = self._torch.nn.utils.clip_grad_norm_(tensors, usual)
        self._norms.append(float(norm))


class _Teacher:
    """The fp32 network in ncnn, which takes a tenth of torch's time."""

    def __init__(self, network: Network, setting: DistillSetting) -> None:
        self._network, self._setting = network, setting
        found = outputs_on(
            network, setting.input, setting.outputs, setting.crops, threads=setting.threads
        )
        self.powers = [
            float(np.mean([np.square(one, dtype=np.float64).mean() for one in output]))
            for output in zip(*found, strict=True)
        ]
        if not all(0 < power < np.inf for power in self.powers):
            message = "the fp32 outputs are zero or not finite on the crops; nothing to learn from"
            raise InputError(message)

    def __enter__(self) -> Self:
        self._net = NcnnNet.of(self._network, self._setting.input, self._setting.outputs)
        self._pool = ThreadPoolExecutor(self._setting.threads)
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        self._net.close()

    def outputs(self, batch: Any) -> list[Any]:
        found = list(self._pool.map(self._net.run, batch))
        return [np.stack(output) for output in zip(*found, strict=True)]


@contextmanager
def torch_threads(torch: Any, count: int) -> Iterator[None]:
    """Let torch use so many threads while the context is open."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trained(parameters: Parameters, rates: Rates) -> list[dict[str, Any]]:
    layers = parameters.layers.values()
    thresholds = {
        id(one.log_threshold): one.log_threshold
        for name, one in parameters.layers.items()
        if one.log_threshold is not None and name not in parameters.fixed
    }
    kinds: Sequence[tuple[list[Any], float]] = (
        ([one.integers for one in layers], rates.integers),
        ([one.log_scales for one in layers], rates.scales),
        ([one.bias for one in layers if one.bias is not None], rates.biases),
        (list(thresholds.values()), rates.thresholds),
        ([parameters.log_factors] if parameters.channels else [], rates.factors),
    )
    return [
        {"params": [tensor.requires_grad_() for tensor in tensors], "lr": rate}
        for tensors, rate in kinds
        if rate > 0 and tensors
    ]
