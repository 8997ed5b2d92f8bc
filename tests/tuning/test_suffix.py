from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.tuning.sqnr import Outputs
from quantkit.tuning.suffix import Cuts, Walk, alone, load_alone
from tests.nets import INPUT, OUTPUT, crop, small_network

REAL = {
    "simplepose_256x192": ("data", ("hybridsequential0_conv7_fwd",)),
    "tinypose_256x192": ("image", ("save_infer_model/scale_0.tmp_1",)),
    "simcc_small_256x192": ("input", ("output0", "output1")),
}


def int8_of(network: Network, input: str, crops: list[NDArray[np.float32]]) -> Network:
    names = [layer.name for layer in int8_layers(network)]
    statistics = collect(network, input, lambda: crops, names)
    return quantize(network, calibrate(network, statistics).table, requantize=never)


def whole(network: Network, files: NcnnFiles, crops: list[NDArray[np.float32]]) -> list[Outputs]:
    with NcnnNet.of(network, files.input, files.outputs) as net:
        return [net.run(one) for one in crops]


def same(got: list[Outputs], wanted: list[Outputs]) -> bool:
    return all(
        np.array_equal(a, b)
        for one, other in zip(got, wanted, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def check_every_cut(network: Network, files: NcnnFiles, crops: list[NDArray[np.float32]]) -> None:
    names = [layer.name for layer in network.param.layers if layer.type != "Input"]
    wanted = whole(network, files, crops)
    with Walk(network, files.input, files.outputs, crops) as walk:
        for name in names[:: 1 + len(names) // 60]:
            alive = walk.before(name)
            assert same(walk.outputs(name, alive), wanted), name
            single = load_alone(network, name)
            assert same(walk.outputs(name, alive, {name: single}), wanted), name
            layer = network.param.layer(name)
            made = [
                single.start({blob: blobs[blob] for blob in layer.bottoms}).blobs(layer.tops)
                for blobs in alive
            ]
            assert same(walk.behind(name, alive, made), wanted), name


FILES = NcnnFiles(Path("net.param"), Path("net.bin"), INPUT, (OUTPUT,))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_run_from_any_layer_of_a_small_net_has_the_bits_of_the_whole_run(precision: str) -> None:
    rng = np.random.default_rng(3)
    network, crops = small_network(rng), [crop(rng) for _ in range(3)]
    form = network if precision == "fp32" else int8_of(network, INPUT, crops)
    check_every_cut(form, FILES, crops)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", REAL)
def test_a_run_from_any_layer_of_a_real_net_has_the_bits_of_the_whole_run(
    real_data: Path, name: str, precision: str
) -> None:
    input, outputs = REAL[name]
    models = real_data / "models"
    files = NcnnFiles(models / f"{name}.param", models / f"{name}.bin", input, outputs)
    network = read_network(files)
    crops = [np.random.default_rng(5).standard_normal((3, 256, 192)).astype(np.float32)]
    form = network if precision == "fp32" else int8_of(network, input, crops)
    check_every_cut(form, files, crops)


def test_a_layer_that_was_swapped_stays_so_for_the_layers_behind_it() -> None:
    rng = np.random.default_rng(4)
    network, crops = small_network(rng), [crop(rng) for _ in range(2)]
    int8 = int8_of(network, INPUT, crops)
    changed = {"stem": int8, "residual": int8, "head": int8}
    layers = {name: int8.param.layer(name) for name in changed}
    mixed = network.replaced(layers, {name: int8.weights[name] for name in changed})
    with Walk(network, INPUT, (OUTPUT,), crops) as walk:
        walk.before("stem")
        walk.swap({name: load_alone(int8, name) for name in changed})
        alive = walk.before("left")
        assert same(walk.outputs("left", alive), whole(mixed, FILES, crops))
        assert not same(walk.outputs("left", alive), whole(network, FILES, crops))


def test_what_lives_at_a_cut_was_made_above_and_is_read_below() -> None:
    network = small_network(np.random.default_rng(0))
    cuts = Cuts(network.param, (OUTPUT, "neck"))
    assert set(cuts.before(cuts.of("add"))) == {"expand_fork_0", "residual"}
    assert set(cuts.before(cuts.of("head"))) == {"joined", "neck"}


def test_a_layer_alone_reads_what_it_read() -> None:
    network = small_network(np.random.default_rng(0))
    single = alone(network, "add")
    assert [layer.type for layer in single.param.layers] == ["Input", "Input", "BinaryOp"]
    a, b = (np.full((4, 2, 2), value, np.float32) for value in (1.0, 2.0))
    with load_alone(network, "add") as net:
        made = net.start({"expand_fork_0": a, "residual": b}).blobs(["sum"])
    assert np.array_equal(made["sum"], a + b)


def test_an_unknown_layer_is_named() -> None:
    network = small_network(np.random.default_rng(0))
    with pytest.raises(InputError, match="there is no layer 'nose'"):
        alone(network, "nose")
    with (
        Walk(network, INPUT, (OUTPUT,), []) as walk,
        pytest.raises(InputError, match="there is no layer 'nose'"),
    ):
        walk.before("nose")


def test_a_blob_that_cannot_be_fed_is_named() -> None:
    network = small_network(np.random.default_rng(0))
    with load_alone(network, "head") as net:
        with pytest.raises(InputError, match="'joined' got shape"):
            net.start({"joined": np.zeros((1, 1, 48, 2, 2), np.float32)})
        with pytest.raises(InputError, match="'nose' is not in the network"):
            net.start({"nose": np.zeros((48, 2, 2), np.float32)})
