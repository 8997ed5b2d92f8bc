from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.network import Network, put_right, read_network, write_network
from tests.nets import OUTPUT, crop, small_network, write_pair


@pytest.fixture
def network() -> Network:
    return small_network(np.random.default_rng(0))


def test_what_is_written_is_read(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    again = read_network(files)
    assert again.param == network.param
    assert again.sha256 == network.sha256
    assert again.nbytes == network.nbytes == files.param.stat().st_size + files.bin.stat().st_size


def test_the_hash_covers_both_files(network: Network) -> None:
    renamed = network.param.layer("head").with_params({9: "1"})
    assert network.replaced({"head": renamed}, {}).sha256 != network.sha256
    other = small_network(np.random.default_rng(1))
    assert other.param_text() == network.param_text()
    assert other.sha256 != network.sha256


def test_replacing_shares_everything_else(network: Network) -> None:
    other = small_network(np.random.default_rng(1))
    changed = network.replaced({}, {"head": other.weights["head"]})
    assert changed.weights["head"] is other.weights["head"]
    assert changed.weights["stem"] is network.weights["stem"]
    assert network.weights["head"] is not other.weights["head"]


def test_equal_files_are_not_written_again(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    before = files.param.stat().st_mtime_ns, files.bin.stat().st_mtime_ns
    write_pair(network, tmp_path)
    assert (files.param.stat().st_mtime_ns, files.bin.stat().st_mtime_ns) == before


def test_different_files_are_replaced_only_when_told_to(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    other = small_network(np.random.default_rng(1))
    with pytest.raises(InputError, match=r"net\.bin: exists with other content"):
        write_pair(other, tmp_path)
    assert read_network(files).sha256 == network.sha256
    write_network(other, files.param, files.bin, overwrite=True)
    assert read_network(files).sha256 == other.sha256


def test_a_refused_param_leaves_no_bin(network: Network, tmp_path: Path) -> None:
    (tmp_path / "net.param").write_text("something else")
    with pytest.raises(InputError, match=r"net\.param: exists"):
        write_pair(network, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.param"]


def test_weights_that_do_not_fit_leave_no_file(network: Network, tmp_path: Path) -> None:
    broken = Network(network.param, {**network.weights, "head": network.weights["neck"]})
    with pytest.raises(InputError, match="'head'"):
        write_pair(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_input_lists_the_inputs(network: Network, tmp_path: Path) -> None:
    files = replace(write_pair(network, tmp_path), input="image")
    with pytest.raises(InputError, match=r"net\.param: has no input blob 'image'; it has: data"):
        read_network(files)


def test_an_unknown_output_is_named(network: Network, tmp_path: Path) -> None:
    files = replace(write_pair(network, tmp_path), outputs=(OUTPUT, "simcc"))
    with pytest.raises(InputError, match=r"net\.param: has no blob 'simcc'"):
        read_network(files)


def test_irregularities_are_put_right_in_a_copy(network: Network, tmp_path: Path) -> None:
    files = write_pair(network, tmp_path)
    assert put_right(files, tmp_path / "copy") == (files, ())
    text = files.param.read_text().replace(" right ", " left  ", 1)
    first, counts, rest = text.split("\n", 2)
    layers, blobs = map(int, counts.split())
    files.param.write_text(f"{first}\n{layers - 2} {blobs + 4}\n{rest}")
    cut = replace(files, outputs=("right",))
    tidy, notes = put_right(cut, tmp_path / "copy")
    assert tidy == replace(
        cut, param=tmp_path / "copy/model.param", bin=tmp_path / "copy/model.bin"
    )
    assert len(notes) == 3
    assert put_right(tidy, tmp_path / "again") == (tidy, ())
    made, read = read_network(tidy), read_network(cut)
    assert made.sha256 == read.sha256
    assert made.param.layers[-1].name == "left_2"
    # The copy has weights for its own layers only; they are those of the network.
    assert (
        made.weights["left_2"]["weight"].tobytes() == network.weights["right"]["weight"].tobytes()
    )
    with NcnnNet.from_files(cut) as expected, NcnnNet.from_files(tidy) as got:
        tensor = crop(np.random.default_rng(0))
        np.testing.assert_array_equal(got.run(tensor)[0], expected.run(tensor)[0])
    with pytest.raises(InputError, match=r"no blob 'heatmap' .*the last 2 of its \d+ are not read"):
        read_network(files)
