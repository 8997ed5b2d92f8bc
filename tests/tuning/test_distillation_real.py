"""Learning on trained pose nets and real training crops."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.calibration.table import CalibrationTable
from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.quantization.int8 import quantize
from quantkit.tuning.distillation import DistillSetting, learn
from quantkit.tuning.distillation.parameters import Parameters
from quantkit.tuning.distillation.torch_network import TorchNetwork
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs, sqnr_db
from tests.tuning.stored_weights import stored_weights

torch = pytest.importorskip("torch", exc_type=ImportError)
pytestmark = pytest.mark.slow
Array = NDArray[np.float32]
ENDS = {
    "simplepose": ("data", ("hybridsequential0_conv7_fwd",)),
    "tinypose": ("image", ("save_infer_model/scale_0.tmp_1",)),
    "simcc_small": ("input", ("output0", "output1")),
}


@pytest.fixture(scope="module")
def tensors(real_data: Path) -> list[Array]:
    coco = real_data / "coco"
    boxes = coco / "annotations" / "person_boxes_train2017.json"
    persons = load_dataset(boxes, coco / "train2017", keypoints=False).persons[:24]
    return [one.tensor for one in crops(persons, InputSpec((192, 256)))]


def _read(real_data: Path, name: str) -> tuple[Network, NcnnFiles]:
    model = real_data / "models" / f"{name}_256x192"
    files = NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), *ENDS[name])
    return read_network(files), files


def _table(network: Network, files: NcnnFiles, tensors: Sequence[Array]) -> CalibrationTable:
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect(network, files.input, lambda: tensors, names)
    return calibrate(network, statistics, "kl").table


def _by_crop(found: Sequence[object], expected: Sequence[Outputs]) -> list[Outputs]:
    """Take the outputs of a batch apart."""
    arrays = [np.asarray(one) for one in found]
    return [
        tuple(array[number].reshape(one.shape) for array, one in zip(arrays, outputs, strict=True))
        for number, outputs in enumerate(expected)
    ]


@pytest.mark.parametrize("name", ENDS)
def test_torch_gives_what_ncnn_gives_in_fp32(
    name: str, real_data: Path, tensors: list[Array]
) -> None:
    network, files = _read(real_data, name)
    expected = outputs_on(network, files.input, files.outputs, tensors[:2])
    compute = TorchNetwork.of(torch, network.param, files.input, tensors[0].shape, files.outputs)
    found = compute(torch.from_numpy(np.stack(tensors[:2])), stored_weights(torch, network))
    for r, q in zip(expected, _by_crop(found, expected), strict=True):
        for one, other in zip(r, q, strict=True):
            assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


@pytest.mark.parametrize("name", ENDS)
def test_torch_gives_the_first_layers_that_ncnn_gives_in_int8(
    name: str, real_data: Path, tensors: list[Array]
) -> None:
    network, files = _read(real_data, name)
    table = _table(network, files, tensors[:4])
    # Where two kernels round a value to either side, all that follows differs by a level.
    outputs = tuple(network.param.layer(one).tops[0] for one in table.layers[:3])
    int8 = quantize(network, table, requantize=lambda graph, scales: {})
    expected = outputs_on(int8, files.input, outputs, tensors[:1])
    compute = TorchNetwork.of(torch, network.param, files.input, tensors[0].shape, outputs)
    parameters = Parameters.of(torch, network, table)
    with torch.no_grad():
        batch = torch.from_numpy(np.stack(tensors[:1]))
        found = _by_crop(compute(batch, *parameters.bound()), expected)
    for number in range(len(outputs)):
        assert sqnr_db([(expected[0][number],)], [(found[0][number],)]) > (100, 60, 40)[number]


def test_a_few_steps_help_a_trained_net(real_data: Path, tensors: list[Array]) -> None:
    network, files = _read(real_data, "simplepose")
    table = _table(network, files, tensors)
    setting = DistillSetting(files.input, files.outputs, tensors[:16], tensors[16:], checks=2)
    found = learn(network, table, replace(setting, steps=40))
    assert found.report.after_db > found.report.before_db + 1
