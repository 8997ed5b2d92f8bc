"""Equalization of trained pose nets on real crops."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.data.coco import load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.model.network import Network, read_network
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.tuning.equalization import channel_ranges, equalize
from quantkit.tuning.equalization.channel_graph import channel_graph
from quantkit.tuning.equalization.fold import folded
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs, sqnr_db
from tests.tuning.equalized_nets import EXACT_DB, far_factors

INPUTS = {"simplepose": "data", "tinypose": "image", "simcc_small": "input"}
OUTPUTS = {
    "simplepose": ("hybridsequential0_conv7_fwd",),
    "tinypose": ("save_infer_model/scale_0.tmp_1",),
    "simcc_small": ("output0", "output1"),
}
FREE = {"simplepose": (1264, 8403), "tinypose": (14888, 14891), "simcc_small": (1056, 12291)}
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def tensors(real_data: Path) -> list[Array]:
    coco = real_data / "coco"
    boxes = coco / "annotations" / "person_boxes_train2017.json"
    persons = load_dataset(boxes, coco / "train2017", keypoints=False).persons[:4]
    return [one.tensor for one in crops(persons, InputSpec((192, 256)))]


def _files(real_data: Path, name: str) -> NcnnFiles:
    model = real_data / "models" / f"{name}_256x192"
    return NcnnFiles(
        model.with_suffix(".param"), model.with_suffix(".bin"), INPUTS[name], OUTPUTS[name]
    )


def _run(network: Network, files: NcnnFiles, tensors: list[Array]) -> list[Outputs]:
    return outputs_on(network, files.input, files.outputs, tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
def test_fp32_outputs_of_real_nets_stay(name: str, real_data: Path, tensors: list[Array]) -> None:
    files = _files(real_data, name)
    network = read_network(files)
    shapes = blob_shapes(network.param, {files.input: tensors[0].shape})
    before = _run(network, files, tensors[2:])

    graph = channel_graph(network, shapes, files.outputs)
    scaled = folded(network, graph, far_factors(graph))
    assert sqnr_db(before, _run(scaled, files, tensors[2:])) >= EXACT_DB

    ranges = channel_ranges(network, files.input, tensors[:2])
    found = equalize(network, shapes, files.outputs, ranges, exact=True, steps=5)
    assert sqnr_db(before, _run(found.network, files, tensors[2:])) == np.inf
    assert (found.report.free, found.report.channels) == FREE[name]


@pytest.mark.slow
def test_the_search_leaves_a_real_net_as_it_is(real_data: Path, tensors: list[Array]) -> None:
    files = _files(real_data, "tinypose")
    network = read_network(files)
    shapes = blob_shapes(network.param, {files.input: tensors[0].shape})
    ranges = channel_ranges(network, files.input, tensors[:2])
    found = equalize(network, shapes, files.outputs, ranges, steps=30)
    before, after = (_run(one, files, tensors[2:]) for one in (network, found.network))
    assert sqnr_db(before, after) >= EXACT_DB
    uneven = max(found.report.blobs, key=lambda one: one.before)
    assert uneven.before > 20
    assert uneven.after < uneven.before / 4
