"""What calibration and evaluation cost beside the bare forwards of the same crops.

Run with `pytest tests/benchmarks`; compare the medians within one group, which is one run on one
machine.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from quantkit.backends import open_runner
from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration import kl
from quantkit.calibration.statistics import collect
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.evaluation.evaluate import predict
from quantkit.evaluation.head import HeadSpec
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles

SPEC = InputSpec((192, 256))
THREADS = 2
MODELS = {
    "tinypose_256x192": ("image", "save_infer_model/scale_0.tmp_1"),
    "simplepose_256x192": ("data", "hybridsequential0_conv7_fwd"),
}


@pytest.fixture(scope="module", params=list(MODELS))
def files(request: pytest.FixtureRequest, real_data: Path) -> NcnnFiles:
    source, output = MODELS[request.param]
    model = real_data / "models" / request.param
    return NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), source, (output,))


@pytest.fixture(scope="module")
def network(files: NcnnFiles) -> Network:
    return read_network(files)


@pytest.fixture(scope="module")
def dataset(real_data: Path) -> PoseDataset:
    coco = real_data / "coco"
    annotations = coco / "annotations" / "person_keypoints_val2017.json"
    return load_dataset(annotations, coco / "val2017", keypoints=True)


@pytest.fixture
def forwards(files: NcnnFiles, dataset: PoseDataset) -> Callable[[], None]:
    """Run the crops through one shared net on two threads, with nothing around it."""
    tensors = [crop.tensor for crop in crops(dataset.persons, SPEC)]
    net = NcnnNet.from_files(files)

    def run() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(net.run, tensors))

    return run


@pytest.mark.benchmark(group="calibration of 109 crops")
def test_forwards_before_calibration(
    benchmark: BenchmarkFixture, forwards: Callable[[], None]
) -> None:
    benchmark.pedantic(forwards, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="calibration of 109 crops")
def test_statistics_in_two_passes(
    benchmark: BenchmarkFixture, network: Network, files: NcnnFiles, dataset: PoseDataset
) -> None:
    tensors = [crop.tensor for crop in crops(dataset.persons, SPEC)]
    layers = [layer.name for layer in int8_layers(network)]
    benchmark.pedantic(
        lambda: collect(network, files.input, lambda: tensors, layers, threads=THREADS),
        rounds=3,
        warmup_rounds=1,
    )


@pytest.mark.benchmark(group="calibration of 109 crops")
def test_kl_search_of_all_layers(
    benchmark: BenchmarkFixture, network: Network, files: NcnnFiles, dataset: PoseDataset
) -> None:
    tensors = [crop.tensor for crop in crops(dataset.persons[:4], SPEC)]
    layers = [layer.name for layer in int8_layers(network)]
    statistics = collect(network, files.input, lambda: tensors, layers)
    benchmark.pedantic(
        lambda: [kl.threshold(one) for one in statistics.values()], rounds=3, warmup_rounds=1
    )


@pytest.mark.benchmark(group="evaluation of 109 crops")
def test_forwards_before_evaluation(
    benchmark: BenchmarkFixture, forwards: Callable[[], None]
) -> None:
    benchmark.pedantic(forwards, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="evaluation of 109 crops")
def test_predict_in_a_worker(
    benchmark: BenchmarkFixture, files: NcnnFiles, dataset: PoseDataset
) -> None:
    with open_runner("ncnn", files, threads=THREADS) as runner:
        benchmark.pedantic(
            lambda: predict(runner, dataset, SPEC, HeadSpec()), rounds=3, warmup_rounds=1
        )
