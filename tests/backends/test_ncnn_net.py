import threading
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import REDUCED_PRECISION, NcnnNet
from quantkit.errors import InputError
from tests.nets import INPUT, OUTPUT, crop, small_network, write_pair


@pytest.fixture
def net() -> NcnnNet:
    network = small_network(np.random.default_rng(0))
    return NcnnNet.of(network, INPUT, (OUTPUT,))


def test_files_and_memory_give_the_same_network(net: NcnnNet, tmp_path: Path) -> None:
    files = write_pair(small_network(np.random.default_rng(0)), tmp_path)
    tensor = crop(np.random.default_rng(1))
    with NcnnNet.from_files(files) as other:
        np.testing.assert_array_equal(other.run(tensor)[0], net.run(tensor)[0])


def test_reduced_precision_is_off(net: NcnnNet) -> None:
    assert not any(getattr(net._net.opt, option) for option in REDUCED_PRECISION)
    assert net._net.opt.num_threads == 1


def test_blobs_asked_for_in_any_order_are_those_of_a_net_that_frees_nothing(net: NcnnNet) -> None:
    network = small_network(np.random.default_rng(0))
    keeping = NcnnNet.of(network, INPUT, (OUTPUT,), light=False)
    names = [blob for layer in network.param.layers for blob in layer.tops][::-1]
    tensor = crop(np.random.default_rng(1))
    light, kept = net.run_blobs(tensor, names), keeping.run_blobs(tensor, names)
    assert set(light) == set(names)
    for name in names:
        np.testing.assert_array_equal(light[name], kept[name], err_msg=name)


def test_the_input_stays_as_it_was_and_outputs_outlive_the_net(net: NcnnNet) -> None:
    tensor = crop(np.random.default_rng(1))
    before = tensor.copy()
    blobs = net.run_blobs(tensor, [INPUT, OUTPUT])
    kept = blobs[OUTPUT].copy()
    net.close()
    np.testing.assert_array_equal(tensor, before)
    np.testing.assert_array_equal(blobs[INPUT], before)
    np.testing.assert_array_equal(blobs[OUTPUT], kept)


def test_a_strided_or_double_input_is_read_by_its_values(net: NcnnNet) -> None:
    tensor = crop(np.random.default_rng(1))
    strided = np.asfortranarray(tensor.astype(np.float64))
    np.testing.assert_array_equal(net.run(strided)[0], net.run(tensor)[0])  # type: ignore[arg-type]


def test_threads_that_share_a_net_get_what_one_thread_gets(net: NcnnNet) -> None:
    tensors = [crop(np.random.default_rng(seed)) for seed in range(8)]
    alone = [net.run(tensor)[0] for tensor in tensors]
    together = [np.empty(0, np.float32)] * len(tensors)

    def work(first: int) -> None:
        for number in range(first, len(tensors), 4):
            together[number] = net.run(tensors[number])[0]

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_short_bin_is_refused_not_read_beyond_its_end() -> None:
    network = small_network(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"\.bin: ncnn cannot load it: it is too short"):
        NcnnNet(network.param_text(), network.bin_bytes()[:-400], input=INPUT, outputs=(OUTPUT,))


@pytest.mark.parametrize("text", ["", "7767518\n1 1\n", "7767517\n2 2\nInput data 0 1 data\n"])
def test_a_broken_param_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"\.param: ncnn cannot read it"):
        NcnnNet(text, b"", input=INPUT, outputs=(OUTPUT,))


def test_an_unknown_output_names_those_there_are() -> None:
    network = small_network(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"'nowhere' is not in the network.*heatmap"):
        NcnnNet.of(network, INPUT, ("nowhere",))


def test_an_input_of_two_axes_is_refused(net: NcnnNet) -> None:
    with pytest.raises(InputError, match="channels, height, width"):
        net.run(np.zeros((64, 48), np.float32))


def test_an_unknown_blob_is_refused(net: NcnnNet) -> None:
    with pytest.raises(InputError, match="'nowhere'"):
        net.run_blobs(crop(np.random.default_rng(1)), [OUTPUT, "nowhere"])


def test_a_missing_bin_is_named(tmp_path: Path) -> None:
    files = write_pair(small_network(np.random.default_rng(0)), tmp_path)
    files.bin.unlink()
    with pytest.raises(InputError, match=r"net\.bin: does not exist"):
        NcnnNet.from_files(files)


def test_an_int8_network_of_ncnns_own_tools_runs(golden: Path) -> None:
    folder = golden / "simplepose_256x192"
    tensor = np.load(folder / "inputs" / "000.npy")
    outputs = []
    for name in ("fp32", "kl_int8"):
        text, data = (folder / f"{name}.param").read_text(), (folder / f"{name}.bin").read_bytes()
        output = "hybridsequential0_conv7_fwd"
        with NcnnNet(text, data, input="data", outputs=(output,)) as net:
            outputs.append(net.run(tensor)[0])
    fp32, int8 = outputs
    assert fp32.shape == int8.shape == (17, 64, 48)
    assert np.corrcoef(fp32.ravel(), int8.ravel())[0, 1] > 0.95
