"""The session: its buffers, its cache and its errors, on a GPU of paper."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from quantkit.backends.cuda_device import Device
from quantkit.backends.names import Precision
from quantkit.backends.sessions import probe
from quantkit.backends.tensorrt import TensorrtSession, engine_key
from quantkit.backends.tensorrt_engine import Builder
from quantkit.errors import BackendDied, InputError, Unavailable
from quantkit.model.source import OnnxFile
from tests.backends.fake_gpu import FakeCuda, FakeTensorrt, Status
from tests.onnx_nets import SHAPE, onnx_crops, reference_outputs, small_onnx

DEVICE = Device("GPU of paper", "8.9", "12.4")


class Built(list[Precision]):
    """Precisions of the engines that were built."""


def install(cuda: ModuleType, trt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = ModuleType("cuda.bindings")
    for name, module in (
        ("tensorrt", trt), ("cuda", ModuleType("cuda")), ("cuda.bindings", bindings),
        ("cuda.bindings.runtime", cuda),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def trt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTensorrt:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cuda = FakeCuda()
    module = FakeTensorrt(cuda)
    install(cuda, module, monkeypatch)
    return module


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    precisions = Built()

    def plan(self: Builder, file: OnnxFile, precision: Precision) -> bytes:
        precisions.append(precision)
        return file.path.read_bytes()

    monkeypatch.setattr(Builder, "__init__", lambda self, trt: None)
    monkeypatch.setattr(Builder, "plan", plan)
    return precisions


@pytest.fixture
def file(tmp_path: Path) -> OnnxFile:
    return small_onnx(tmp_path / "small.onnx", outputs=2)


def test_every_input_goes_through_the_devices_buffers(
    trt: FakeTensorrt, built: Built, file: OnnxFile
) -> None:
    session = TensorrtSession.load(file, 2)
    assert session.input_shape == SHAPE
    crops = onnx_crops(3)
    results = [session.run(crop) for crop in crops]
    for crop, outputs in zip(crops, results, strict=True):
        for output, expected in zip(outputs, reference_outputs(file, crop), strict=True):
            np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5)
    assert len(trt.cuda.memory) == 3


def test_the_outputs_come_in_the_order_that_is_asked_for(
    trt: FakeTensorrt, built: Built, file: OnnxFile
) -> None:
    session = TensorrtSession.load(OnnxFile(file.path, "image", ("heatmap1", "heatmap0")), 1)
    crop = onnx_crops(1)[0]
    first, second = reference_outputs(file, crop)
    for output, expected in zip(session.run(crop), (second, first), strict=True):
        np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("precision", "options"), [("fp32", "fp32, TF32 off"), ("fp16", "fp16")])
def test_the_description_names_version_gpu_and_options(
    trt: FakeTensorrt, built: Built, file: OnnxFile, precision: Precision, options: str
) -> None:
    session = TensorrtSession.load(file, 1, precision)
    assert session.description == f"tensorrt 10.0.0, GPU of paper, {options}"


def test_an_engine_is_built_once_for_each_network_and_precision(
    trt: FakeTensorrt, built: Built, file: OnnxFile, tmp_path: Path
) -> None:
    other = small_onnx(tmp_path / "other.onnx", outputs=2, seed=1)
    (tmp_path / "copy").mkdir()
    copy = OnnxFile(tmp_path / "copy" / "same.onnx", file.input, file.outputs)
    copy.path.write_bytes(file.path.read_bytes())
    for one in (file, file, copy, other, other):
        TensorrtSession.load(one, 1)
    TensorrtSession.load(file, 1, "fp16")
    TensorrtSession.load(copy, 1, "fp16")
    assert built == ["fp32", "fp32", "fp16"]


def test_the_key_changes_with_all_that_an_engine_depends_on(file: OnnxFile, tmp_path: Path) -> None:
    def key(
        file: OnnxFile = file,
        precision: Precision = "fp32",
        trt: str = "10.0",
        gpu: Device = DEVICE,
    ) -> str:
        return engine_key(file, precision, trt, gpu)

    other = small_onnx(tmp_path / "other.onnx", outputs=2, seed=1)
    keys = {
        key(),
        key(file=other),
        key(precision="fp16"),
        key(trt="10.1"),
        key(gpu=Device("Other GPU", "8.9", "12.4")),
        key(gpu=Device("GPU of paper", "9.0", "12.4")),
        key(gpu=Device("GPU of paper", "8.9", "13.0")),
    }
    assert len(keys) == 7
    assert key() in keys


def test_an_engine_that_is_refused_is_named_with_the_reason(
    trt: FakeTensorrt, built: Built, file: OnnxFile
) -> None:
    trt.refuses = True
    with pytest.raises(InputError, match=r"small\.onnx: TensorRT refuses .*: Serialization asser"):
        TensorrtSession.load(file, 1)


def test_a_missing_file_is_named(trt: FakeTensorrt, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.onnx: "):
        TensorrtSession.load(OnnxFile(tmp_path / "no.onnx", "image", ("heatmap",)), 1)


def test_a_run_that_fails_is_a_dead_backend(
    trt: FakeTensorrt, built: Built, file: OnnxFile
) -> None:
    session = TensorrtSession.load(file, 1)
    trt.loaded[-1].breaks = True
    with pytest.raises(BackendDied, match="TensorRT could not run the engine"):
        session.run(onnx_crops(1)[0])


def test_a_full_device_is_a_dead_backend(trt: FakeTensorrt, built: Built, file: OnnxFile) -> None:
    trt.cuda.full = True
    with pytest.raises(BackendDied, match="CUDA failed with cudaErrorMemoryAllocation"):
        TensorrtSession.load(file, 1)


def test_an_end_that_is_not_fp32_is_refused(
    trt: FakeTensorrt, built: Built, file: OnnxFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.backends.fake_gpu.FakeEngine.get_tensor_dtype", _half)
    with pytest.raises(InputError, match=r"small\.onnx: its tensor 'image' holds HALF"):
        TensorrtSession.load(file, 1)


def _half(self: object, name: str) -> object:
    return type("DataType", (), {"name": "HALF"})


@pytest.mark.parametrize(
    ("cuda", "reason"),
    [
        (FakeCuda(0, Status.cudaErrorInsufficientDriver, 0), "finds no NVIDIA driver"),
        (
            FakeCuda(0, Status.cudaErrorInsufficientDriver, 12040),
            r"needs a newer NVIDIA driver: this one knows CUDA 12\.4; .* 'cuda-python<=12\.4'",
        ),
        (FakeCuda(0, Status.cudaErrorNoDevice), r"finds no GPU \(cudaErrorNoDevice\): run it"),
        (FakeCuda(0), r"finds no GPU \(cudaSuccess\): run it where"),
    ],
)
def test_without_a_gpu_the_reason_and_the_remedy_are_given(
    cuda: FakeCuda, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(cuda, FakeTensorrt(cuda), monkeypatch)
    with pytest.raises(Unavailable, match=f"^Backend 'tensorrt' {reason}"):
        probe("tensorrt-fp16")


def test_a_driver_library_that_cannot_be_opened_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_library() -> None:
        message = "Failed to dlopen libcuda.so.1"
        raise RuntimeError(message)

    cuda = FakeCuda()
    monkeypatch.setattr(cuda, "cudaGetDeviceCount", no_library)
    install(cuda, FakeTensorrt(cuda), monkeypatch)
    with pytest.raises(Unavailable, match=r"cannot load CUDA \(Failed to dlopen libcuda\.so\.1\)"):
        probe("tensorrt")


@pytest.mark.parametrize(
    "raised",
    [
        "ImportError('libnvinfer.so.10: cannot open shared object file')",
        "RuntimeError('libnvinfer.so.10 is not here')",
        "FileNotFoundError('Could not find: libnvinfer.so.10. Is it on your PATH?')",
    ],
)
def test_tensorrt_without_its_libraries_is_unavailable(
    raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(Unavailable, match=r"cannot load 'tensorrt' \(.*libnvinfer.* pip install"):
        probe("tensorrt")


def test_cuda_without_its_package_is_unavailable(
    trt: FakeTensorrt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(Unavailable, match=r"needs 'cuda.bindings.runtime': pip install 'quantkit"):
        probe("tensorrt")


def test_the_real_runtime_takes_our_arguments() -> None:
    cuda = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    status, count = cuda.cudaGetDeviceCount()
    if count:
        pytest.skip("there is a GPU, on which these pointers would be wrong")
    assert status.name in ("cudaErrorInsufficientDriver", "cudaErrorNoDevice")
    buffer = np.zeros(4, np.float32)
    kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
    for result, values in (
        (cuda.cudaMalloc(buffer.nbytes), 1),
        (cuda.cudaStreamCreate(), 1),
        (cuda.cudaMemcpyAsync(1024, buffer.ctypes.data, buffer.nbytes, kind, 0), 0),
        (cuda.cudaStreamSynchronize(0), 0),
        (cuda.cudaGetDeviceProperties(0), 1),
    ):
        assert len(result) == 1 + values
        assert int(result[0]) == int(status)
    assert {"name", "major", "minor"} <= set(dir(cuda.cudaDeviceProp()))
    assert int(cuda.cudaStream_t(7)) == 7
    assert cuda.cudaDriverGetVersion()[0] == 0
