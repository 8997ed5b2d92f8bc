"""What an evaluation costs beside the bare forwards of its crops: reading, warping, decoding.

`pytest tests/benchmarks -k overhead`; bare forwards and evaluations take turns in one run, and the
ratio of their medians is printed. hourglass52 takes a minute more: QUANTKIT_FULL_SIZE=1.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from quantkit.backends import open_runner
from quantkit.backends.export_chain import export
from quantkit.backends.ncnn_net import NcnnNet
from quantkit.data.coco import PoseDataset, load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.evaluation.evaluate import predict
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.prediction_journal import PredictionJournal
from quantkit.model.source import MMPoseSource, NcnnFiles
from tests.oracles import mmpose_or_skip

THREADS = 2
ROUNDS = 7
CONFIG = "td-hm_hourglass52_8xb32-210e_coco-256x256"

Turn = Callable[[], float]


@pytest.fixture(scope="module")
def dataset(real_data: Path) -> PoseDataset:
    coco = real_data / "coco"
    annotations = coco / "annotations" / "person_keypoints_val2017.json"
    return load_dataset(annotations, coco / "val2017", keypoints=True)


@pytest.fixture(scope="module")
def tinypose(real_data: Path) -> NcnnFiles:
    model = real_data / "models" / "tinypose_256x192"
    output = "save_infer_model/scale_0.tmp_1"
    return NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), "image", (output,))


@pytest.fixture(scope="module")
def hourglass52(dataset: PoseDataset, tmp_path_factory: pytest.TempPathFactory) -> NcnnFiles:
    if not os.environ.get("QUANTKIT_FULL_SIZE"):
        pytest.skip("QUANTKIT_FULL_SIZE is not set")
    mmpose_or_skip()
    samples = [next(crops(dataset.persons[:1], InputSpec((256, 256)))).tensor]
    return export(MMPoseSource(CONFIG, None), samples, tmp_path_factory.mktemp("hg")).ncnn


@contextmanager
def turns(
    files: NcnnFiles, dataset: PoseDataset, spec: InputSpec, folder: Path
) -> Iterator[tuple[Turn, Turn]]:
    """Bare forwards on one shared net, and the whole evaluation; each returns its seconds."""
    tensors = [crop.tensor for crop in crops(dataset.persons, spec)]
    net = NcnnNet.from_files(files)

    def bare() -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(net.run, tensors):
                pass
        return time.perf_counter() - start

    normalisation = spec.normalisation
    with open_runner("ncnn", files, threads=THREADS, normalisation=normalisation) as runner:

        def evaluation() -> float:
            journal = PredictionJournal(folder / "journal.jsonl", "key")
            start = time.perf_counter()
            predict(runner, dataset, spec, HeadSpec(), journal=journal)
            seconds = time.perf_counter() - start
            journal.remove()
            return seconds

        yield bare, evaluation


@pytest.mark.benchmark(group="overhead of an evaluation")
@pytest.mark.parametrize(
    ("net", "size"), [("tinypose", (192, 256)), ("hourglass52", (256, 256))], ids=["tinypose", "hg"]
)
def test_overhead_beside_the_bare_forwards(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    dataset: PoseDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    net: str,
    size: tuple[int, int],
) -> None:
    files: NcnnFiles = request.getfixturevalue(net)
    times: list[tuple[float, float]] = []
    with turns(files, dataset, InputSpec(size), tmp_path) as (bare, evaluation):
        benchmark.pedantic(
            lambda: times.append((bare(), evaluation())), rounds=ROUNDS, warmup_rounds=1
        )
    forwards, whole = (median(column) for column in zip(*times[1:], strict=True))
    benchmark.extra_info["ratio to the bare forwards"] = whole / forwards
    count = len(dataset.persons)
    with capsys.disabled():
        request.config.get_terminal_writer().line(
            f"\n{net}: {1e3 * forwards / count:.2f} ms a crop in bare forwards on {THREADS}"
            f" threads, {1e3 * whole / count:.2f} ms evaluated: {whole / forwards:.3f}"
        )
