import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import load, save

from quantkit.backends import BACKENDS, BackendName, availability, latency, open_runner
from quantkit.backends.process import ProcessRunner
from quantkit.backends.runner import Tensor
from quantkit.data.normalise import Normalisation
from quantkit.errors import BackendDied, InputError, Unavailable
from quantkit.model.export.to_ncnn import onnx_to_ncnn
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from tests.nets import crop, small_network, write_pair
from tests.onnx_nets import SHAPE, onnx_crops, reference_outputs, signed_qlinear_conv, small_onnx


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    return small_onnx(tmp_path_factory.mktemp("onnx") / "small.onnx", outputs=2)


@pytest.fixture(scope="module")
def ncnn(onnx: OnnxFile) -> NcnnFiles:
    pytest.importorskip("pnnx", exc_type=ImportError)
    return onnx_to_ncnn(onnx, onnx.path.parent, SHAPE)[0]


@pytest.fixture(scope="module")
def small_pair(tmp_path_factory: pytest.TempPathFactory) -> NcnnFiles:
    network = small_network(np.random.default_rng(0))
    return write_pair(network, tmp_path_factory.mktemp("ncnn"))


@pytest.fixture
def runner(small_pair: NcnnFiles) -> Iterator[ProcessRunner]:
    with ProcessRunner("ncnn", small_pair) as opened:
        yield opened


def artifact_for(name: BackendName, onnx: OnnxFile, ncnn: NcnnFiles) -> OnnxFile | NcnnFiles:
    if name == "pytorch":
        pytest.skip("runs MMPose networks only; see test_pytorch.py")
    reason = availability(name)
    if reason:
        pytest.skip(reason)
    return ncnn if name.startswith("ncnn") else onnx


@pytest.mark.slow
def test_grey_levels_give_what_their_normalised_values_give(small_pair: NcnnFiles) -> None:
    normalisation = Normalisation((120.0, 110.0, 100.5), (58.0, 57.0, 0.3))
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 256, crop(rng).shape, np.uint8)
    with ProcessRunner("ncnn", small_pair, normalisation=normalisation) as runner:
        streamed = [outputs[0] for outputs in runner.stream([grey, normalisation(grey)])]
    np.testing.assert_array_equal(streamed[0], streamed[1])


def test_grey_levels_are_refused_where_nothing_says_how_to_normalise_them(
    runner: ProcessRunner,
) -> None:
    with pytest.raises(InputError, match="takes float32, got uint8"):
        runner.run(np.zeros(crop(np.random.default_rng(0)).shape, np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_computes_what_onnx_defines(
    name: BackendName, onnx: OnnxFile, ncnn: NcnnFiles
) -> None:
    crops = onnx_crops(5)
    with open_runner(name, artifact_for(name, onnx, ncnn)) as runner:
        streamed = list(runner.stream(crops))
        alone = runner.run(crops[0])
        assert runner.description
    assert len(streamed) == len(crops)
    for tensor, outputs in zip(crops, streamed, strict=True):
        for output, expected in zip(outputs, reference_outputs(onnx, tensor), strict=True):
            assert output.shape == (17, 16, 12)
            np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(alone[0], streamed[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_a_wrong_input_shape_is_refused_by_every_backend(
    name: BackendName, onnx: OnnxFile, ncnn: NcnnFiles
) -> None:
    channels, height, width = SHAPE
    with (
        open_runner(name, artifact_for(name, onnx, ncnn)) as runner,
        pytest.raises(InputError, match=f"backend '{name}' takes an input of shape"),
    ):
        runner.run(np.zeros((channels + 1, height, width), np.float32))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_network_in_another_form_is_refused(name: BackendName, small_pair: NcnnFiles) -> None:
    artifact = MMPoseSource("x", None) if name.startswith("ncnn") else small_pair
    with pytest.raises(InputError, match=f"backend '{name}' does not run a network given as"):
        open_runner(name, artifact)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_network_is_named(name: BackendName, tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a network")
    if availability(name):
        pytest.skip(str(availability(name)))
    with pytest.raises(InputError, match=r"text\.onnx: .* cannot load it"):
        open_runner(name, OnnxFile(path, "image", ("heatmap",)))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_operator_that_a_backend_lacks_is_named(
    name: BackendName, onnx: OnnxFile, tmp_path: Path
) -> None:
    if availability(name):
        pytest.skip(str(availability(name)))
    model = load(onnx.path)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Swallow"
    path = tmp_path / "unknown.onnx"
    save(model, path)
    with pytest.raises(InputError, match=r"unknown\.onnx: .* cannot load it: .*Swallow") as caught:
        open_runner(name, OnnxFile(path, onnx.input, onnx.outputs))
    assert str(caught.value).count("unknown.onnx") == 1


def test_onnxruntime_runs_convolutions_of_signed_inputs(tmp_path: Path) -> None:
    file = signed_qlinear_conv(tmp_path / "signed.onnx")
    crop = onnx_crops(1)[0]
    with open_runner("onnxruntime", file) as runner:
        (got,) = runner.run(crop)
    steps = np.abs(got - reference_outputs(file, crop)[0]) / 0.25
    # What lies half-way between two steps may be rounded to either.
    assert steps.max() <= 1
    assert np.mean(steps > 0) < 0.01


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_unknown_output_is_named(name: BackendName, onnx: OnnxFile) -> None:
    if availability(name):
        pytest.skip(str(availability(name)))
    with pytest.raises(InputError, match=r"has no output 'nowhere', only heatmap0, heatmap1"):
        open_runner(name, OnnxFile(onnx.path, "image", ("nowhere",)))


def test_a_backend_that_is_missing_says_what_to_install(onnx: OnnxFile) -> None:
    reason = availability("tensorrt")
    if reason is None:
        pytest.skip("TensorRT runs here")
    with pytest.raises(Unavailable) as caught:
        open_runner("tensorrt", onnx)
    assert str(caught.value) == reason
    assert "tensorrt" in reason


def test_a_stream_has_the_order_of_its_inputs(runner: ProcessRunner) -> None:
    tensors = [crop(np.random.default_rng(seed)) for seed in range(12)]
    streamed = list(runner.stream(iter(tensors)))
    for tensor, outputs in zip(tensors, streamed, strict=True):
        np.testing.assert_array_equal(outputs[0], runner.run(tensor)[0])


def test_a_stream_that_is_left_does_not_confuse_the_next_run(runner: ProcessRunner) -> None:
    tensors = [crop(np.random.default_rng(seed)) for seed in range(6)]
    expected = runner.run(tensors[-1])[0]
    for _ in runner.stream(tensors):
        break
    np.testing.assert_array_equal(runner.run(tensors[-1])[0], expected)


def test_a_stream_takes_no_more_than_a_few_inputs_ahead(runner: ProcessRunner) -> None:
    taken = 0

    def tensors() -> Iterator[Tensor]:
        nonlocal taken
        for seed in range(50):
            taken += 1
            yield crop(np.random.default_rng(seed))

    for done, _ in enumerate(runner.stream(tensors()), 1):
        assert taken <= done + 8


def test_an_error_of_the_inputs_comes_out_of_the_stream(runner: ProcessRunner) -> None:
    failure = InputError("cannot be read", path="photo.jpg")

    def tensors() -> Iterator[Tensor]:
        yield crop(np.random.default_rng(0))
        raise failure

    stream = runner.stream(tensors())
    next(stream)
    with pytest.raises(InputError) as caught:
        next(stream)
    assert caught.value is failure
    assert len(list(runner.stream([crop(np.random.default_rng(0))]))) == 1


def test_a_nan_input_is_refused(runner: ProcessRunner) -> None:
    tensor = crop(np.random.default_rng(0))
    tensor[1, 2, 3] = np.nan
    with pytest.raises(InputError, match="backend 'ncnn' was given an input with NaN"):
        runner.run(tensor)


def test_an_output_that_is_not_finite_is_named(small_pair: NcnnFiles, tmp_path: Path) -> None:
    weights = bytearray(small_pair.bin.read_bytes())
    weights[-8:] = np.array([np.nan, np.inf], "<f4").tobytes()
    broken = NcnnFiles(small_pair.param, tmp_path / "nan.bin", "data", ("heatmap",))
    broken.bin.write_bytes(weights)
    with (
        ProcessRunner("ncnn", broken) as runner,
        pytest.raises(InputError, match=r"backend 'ncnn' gave NaN or infinity in .* of 'heatmap'"),
    ):
        runner.run(crop(np.random.default_rng(0)))


def test_a_killed_worker_is_a_dead_backend(runner: ProcessRunner) -> None:
    os.kill(runner._worker.pid, signal.SIGKILL)
    with pytest.raises(BackendDied, match="backend 'ncnn' died: SIGKILL"):
        runner.run(crop(np.random.default_rng(0)))


def test_a_worker_killed_in_a_stream_ends_the_stream(runner: ProcessRunner) -> None:
    stream = runner.stream(crop(np.random.default_rng(seed)) for seed in range(1000))
    next(stream)
    os.kill(runner._worker.pid, signal.SIGKILL)
    with pytest.raises(BackendDied, match="backend 'ncnn' died: SIGKILL"):
        list(stream)


def test_a_stopped_worker_ends_at_the_time_limit(small_pair: NcnnFiles) -> None:
    with ProcessRunner("ncnn", small_pair, timeout=15.0) as runner:
        runner._worker._timeout = 0.5
        os.kill(runner._worker.pid, signal.SIGSTOP)
        big = [crop(np.random.default_rng(seed)) for seed in range(200)]
        with pytest.raises(
            BackendDied, match=r"(it gave no answer within|it took no input for) 0\.5 s"
        ):
            list(runner.stream(big))


def test_a_network_on_which_ncnn_crashes_is_a_dead_backend(tmp_path: Path) -> None:
    # The convolution's weights are an empty record, which ncnn does not check.
    param = "7767517\n2 2\nInput data 0 1 data\nConvolution c 1 1 data heatmap 0=17 1=1 6=0\n"
    files = NcnnFiles(tmp_path / "n.param", tmp_path / "n.bin", "data", ("heatmap",))
    files.param.write_text(param)
    files.bin.write_bytes(bytes(4))
    with pytest.raises((BackendDied, InputError)), ProcessRunner("ncnn", files) as runner:
        runner.run(crop(np.random.default_rng(0)))


def test_latency_is_measured_without_the_warm_up(runner: ProcessRunner) -> None:
    figures = latency(runner, crop(np.random.default_rng(0)), repeats=5)
    assert 0 < figures.median_ms <= figures.p95_ms
    assert (figures.repeats, figures.threads) == (5, 1)


def test_a_closed_runner_leaves_no_process(small_pair: NcnnFiles) -> None:
    with ProcessRunner("ncnn", small_pair) as runner:
        pid = runner._worker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
