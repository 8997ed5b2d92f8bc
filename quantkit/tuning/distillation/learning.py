"""Integers, biases and thresholds learned end to end from what the fp32 network gives.

Sources: AdaRound (Nagel et al., arXiv 2004.10568: which way weights are rounded is to be learned),
LSQ (Esser et al., 1902.08153: so are the steps), and knowledge distillation (Hinton et al.,
1503.02531: the aim is the output of the unquantized network, so no labels are needed).
"""

from dataclasses import dataclass

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.optional import require
from quantkit.quantization.int8 import quantize
from quantkit.tuning.distillation.parameters import Parameters
from quantkit.tuning.distillation.setting import DistillSetting
from quantkit.tuning.distillation.training import Training
from quantkit.tuning.equalization.channel_graph import ChannelGraph, channel_graph
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs, worst_db

STAGE = "learning from the fp32 outputs"


@dataclass(frozen=True)
class DistillReport:
    """What learning did, as ncnn's int8 outputs on the crops that were held out show it.

    Attributes:
        before_db: SQNR before, of the output that has the lowest.
        after_db: SQNR of what is given back; never less.
        step: After which step it was taken; 0 for what was given.
        checks: Every step at which the held-out crops were run, with the SQNR there.
    """

    before_db: float
    after_db: float
    step: int
    checks: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Learned:
    """A network and its table, which belong together.

    Attributes:
        network: An ordinary fp32 network; with the table, `quantize` gives what was learned.
        table: Its scales.
        report: What it was good for.
    """

    network: Network
    table: CalibrationTable
    report: DistillReport


def learn(network: Network, table: CalibrationTable, setting: DistillSetting) -> Learned:
    """Learn a network's integers, biases and thresholds from the outputs of its fp32 form.

    Layers that stay in fp32 are learned too, to make up for what int8 does before them. No
    integer is larger than 127, and none of a layer that ncnn may run as Winograd F43 than the
    largest of its channel before; a channel whose sums could leave what F43 gets right gets coarser
    levels, unless they could before. The fp32 outputs change: the aim is int8.

    Args:
        network: The fp32 network to begin with.
        table: Its table to begin with.
        setting: The crops and what is done.

    Returns:
        The best state on the crops held out; network and table as given where none was better.

    Raises:
        InputError: There are no crops, or a layer cannot be computed in torch; it is named.
        Unavailable: torch is not installed.
    """
    torch = require("torch", extra="torch", purpose="Learning from the fp32 outputs")
    if not setting.crops or not setting.held_out:
        message = "there are no crops to learn from or to judge by"
        raise InputError(message)
    teacher = setting.teacher or network
    judge = _Judge(setting, teacher)
    checks = [(0, judge(network, table))]
    best = (network, table)
    parameters = Parameters.of(torch, network, table, _channels(network, setting))
    with Training(parameters, setting, teacher) as training:
        for number in range(setting.steps):
            training.step(number)
            if number + 1 in _due(setting):
                state = parameters.snapped()
                found = judge(*state)
                best = state if found > max(db for _, db in checks) else best
                checks.append((number + 1, found))
            setting.progress(STAGE, number + 1, setting.steps)
    step, after = max(checks, key=lambda check: check[1])
    return Learned(*best, DistillReport(checks[0][1], after, step, tuple(checks)))


def _channels(network: Network, setting: DistillSetting) -> ChannelGraph | None:
    if not setting.rates.factors:
        return None
    shapes = blob_shapes(network.param, {setting.input: setting.crops[0].shape})
    return channel_graph(network, shapes, setting.outputs)


def _due(setting: DistillSetting) -> set[int]:
    return {round(setting.steps * (n + 1) / setting.checks) for n in range(setting.checks)}


class _Judge:
    """Measures int8 networks in ncnn on the crops held out."""

    def __init__(self, setting: DistillSetting, teacher: Network) -> None:
        self._setting = setting
        self._reference = self._run(teacher)

    def __call__(self, network: Network, table: CalibrationTable) -> float:
        return worst_db(self._reference, self._run(quantize(network, table)))

    def _run(self, network: Network) -> list[Outputs]:
        setting = self._setting
        return outputs_on(
            network, setting.input, setting.outputs, setting.held_out, threads=setting.threads
        )
