"""What calibration costs beside the bare forwards of its crops, and how much memory it takes.

`pytest tests/benchmarks -k calibration_speed`; 1,024 crops are the real boxes, repeated with small
seeded shifts. Bare forwards and calibrations (statistics of all layers in one pass, and the
thresholds of a method) take turns in one run, and the ratio of their medians is printed, in wall
time and in CPU time, which a busy machine disturbs less. Peak memory is that of a fresh process
which cuts its crops from the images as it goes. ncnn2table itself is timed where it is installed.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import collect_streaming
from quantkit.data.coco import Person, load_dataset
from quantkit.data.preprocess import InputSpec, crops
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles

CROPS = 1024
THREADS = 2
ROUNDS = int(os.environ.get("QUANTKIT_ROUNDS", "3"))
SPEC = InputSpec((192, 256))
NETS = {
    "simplepose": ("simplepose_256x192", "data", "hybridsequential0_conv7_fwd"),
    "tinypose": ("tinypose_256x192", "image", "save_infer_model/scale_0.tmp_1"),
}
MOST_MEMORY_MB = 500

Array = NDArray[np.float32]


def files_of(real: Path, net: str) -> NcnnFiles:
    name, source, output = NETS[net]
    model = real / "models" / name
    return NcnnFiles(model.with_suffix(".param"), model.with_suffix(".bin"), source, (output,))


def shifted_persons(real: Path) -> list[Person]:
    coco = real / "coco"
    annotations = coco / "annotations" / "person_boxes_train2017.json"
    persons = load_dataset(annotations, coco / "train2017", keypoints=False).persons
    shifts = np.random.default_rng(0).uniform(-8, 8, (CROPS, 2))
    return sorted(
        (
            _shifted(persons[index % len(persons)], *map(float, shift))
            for index, shift in enumerate(shifts)
        ),
        key=lambda person: person.file_name,
    )


def _shifted(person: Person, right: float, down: float) -> Person:
    x1, y1, x2, y2 = person.box
    return replace(person, box=(x1 + right, y1 + down, x2 + right, y2 + down))


def calibration(files: NcnnFiles, tensors: Iterator[Array] | list[Array], method: str) -> None:
    network = read_network(files)
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect_streaming(
        network, files.input, tensors, names, threads=THREADS, total=CROPS
    )
    calibrate(network, statistics, method)


def timed(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.fixture(scope="module")
def tensors(real_data: Path) -> list[Array]:
    return [crop.tensor for crop in crops(shifted_persons(real_data), SPEC)]


@pytest.mark.benchmark(group="calibration beside bare forwards")
@pytest.mark.parametrize("net", NETS)
def test_calibration_beside_the_bare_forwards(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    real_data: Path,
    tensors: list[Array],
    capsys: pytest.CaptureFixture[str],
    net: str,
) -> None:
    files = files_of(real_data, net)
    runner = NcnnNet.from_files(files)

    def bare() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(runner.run, tensors):
                pass

    rows: list[tuple[float, ...]] = []
    benchmark.pedantic(
        lambda: rows.append((*timed(bare), *timed(lambda: calibration(files, tensors, "kl")))),
        rounds=ROUNDS,
        warmup_rounds=0,
    )
    wall, cpu, whole_wall, whole_cpu = (median(column) for column in zip(*rows, strict=True))
    benchmark.extra_info["ratio of wall time"] = whole_wall / wall
    benchmark.extra_info["ratio of CPU time"] = whole_cpu / cpu
    with capsys.disabled():
        request.config.get_terminal_writer().line(
            f"\n{net}: {CROPS} crops, {wall:.1f} s in bare forwards on {THREADS} threads,"
            f" {whole_wall:.1f} s calibrated: {whole_wall / wall:.2f}"
            f" (CPU {cpu:.1f} s, {whole_cpu:.1f} s: {whole_cpu / cpu:.2f})"
        )


@pytest.mark.parametrize("net", NETS)
def test_peak_memory_of_a_fresh_process(
    request: pytest.FixtureRequest,
    real_data: Path,
    capsys: pytest.CaptureFixture[str],
    net: str,
) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.test_calibration_speed", str(real_data), net]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    megabytes = float(done.stdout)
    with capsys.disabled():
        request.config.get_terminal_writer().line(
            f"\n{net}: {megabytes:.0f} MB at most over {CROPS} crops"
        )
    assert megabytes <= MOST_MEMORY_MB


@pytest.mark.parametrize("net", NETS)
def test_ncnn2table_on_the_same_crops(
    request: pytest.FixtureRequest,
    real_data: Path,
    tensors: list[Array],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    net: str,
) -> None:
    tool = shutil.which("ncnn2table")
    if tool is None:
        pytest.skip("ncnn2table is not installed")
    paths = [tmp_path / f"{index:04d}.npy" for index in range(CROPS)]
    for path, tensor in zip(paths, tensors, strict=True):
        np.save(path, tensor)
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    files = files_of(real_data, net)
    command = [
        *(tool, str(files.param), str(files.bin), "list.txt", "out.table"),
        *("method=kl", f"thread={THREADS}", "type=1", "shape=[192,256,3]"),
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    theirs = time.perf_counter() - start
    ours, _ = timed(lambda: calibration(files, tensors, "kl"))
    with capsys.disabled():
        request.config.get_terminal_writer().line(
            f"\n{net}: ncnn2table {theirs:.1f} s, quantkit {ours:.1f} s: {theirs / ours:.1f} times"
        )


def _peak_memory_mb(real: Path, net: str) -> float:
    persons = shifted_persons(real)
    calibration(files_of(real, net), (crop.tensor for crop in crops(persons, SPEC)), "kl")
    # Not `ru_maxrss`: that begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return float(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024


if __name__ == "__main__":
    sys.stdout.write(f"{_peak_memory_mb(Path(sys.argv[1]), sys.argv[2])}\n")
