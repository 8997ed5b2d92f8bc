import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.calibration.statistics import ActivationStatistics, collect
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights
from tests.nets import INPUT, crop, small_network

CROPS = 5


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def crops() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [crop(rng) for _ in range(CROPS)]


@pytest.fixture(scope="module")
def statistics(network: Network, crops: list[NDArray[np.float32]]) -> ActivationStatistics:
    return collect(network, INPUT, lambda: crops, names(network))


def names(network: Network) -> list[str]:
    return [layer.name for layer in int8_layers(network)]


def plain(statistics: BlobStatistics) -> dict[str, object]:
    return {**vars(statistics), "histogram": statistics.histogram.tolist()}


def test_they_are_those_of_all_values_taken_together(
    network: Network, crops: list[NDArray[np.float32]], statistics: ActivationStatistics
) -> None:
    for name in names(network):
        bottom = network.param.layer(name).bottoms[0]
        with NcnnNet.of(network, INPUT) as net:
            values = np.stack([net.run_blobs(one, [bottom])[bottom] for one in crops])
        found = statistics[name]
        absmax = np.abs(values).max()
        positions = np.abs(values[values != 0]) / absmax * np.float32(BINS)
        expected = np.bincount(np.minimum(positions.astype(int), BINS - 1), minlength=BINS)
        assert found.absmax == absmax
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        assert (found.count, found.zeros) == (values.size, (values == 0).sum())
        assert found.shape == values.shape[1:]
        assert (found.histogram == expected).all()


def test_layers_behind_a_split_share_one_object(statistics: ActivationStatistics) -> None:
    assert statistics["left"] is statistics["right"]


def test_the_thread_count_changes_nothing(
    network: Network, crops: list[NDArray[np.float32]], statistics: ActivationStatistics
) -> None:
    for threads in (1, 4):
        again = collect(network, INPUT, lambda: crops, names(network), threads=threads)
        assert list(again) == list(statistics)
        for name, one in again.items():
            assert plain(one) == plain(statistics[name])


def test_only_the_layers_that_are_asked_for_are_collected(
    network: Network, crops: list[NDArray[np.float32]], statistics: ActivationStatistics
) -> None:
    some = collect(network, INPUT, lambda: crops, ["head", "stem"])
    assert list(some) == ["head", "stem"]
    assert (some["head"].histogram == statistics["head"].histogram).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_activation_that_is_not_finite_names_blob_layer_and_crop(
    network: Network, crops: list[NDArray[np.float32]], bad: float
) -> None:
    broken = [*crops[:3], crops[3].copy(), *crops[4:]]
    broken[3][0, 5, 5] = bad
    with pytest.raises(InputError, match=r"blob 'data', the input of layer 'stem'.* crop 3;"):
        collect(network, INPUT, lambda: broken, names(network))


def test_a_weight_that_is_nan_is_found_in_the_blob_behind_it(
    network: Network, crops: list[NDArray[np.float32]]
) -> None:
    records = dict(network.weights["expand"].records)
    stored = records["weight"].stored.copy()
    stored[0] = np.nan
    records["weight"] = replace(records["weight"], stored=stored)
    broken = network.replaced({}, {"expand": LayerWeights(records)})
    with pytest.raises(InputError, match=r"the input of layer 'residual', holds NaN .* image 0;"):
        collect(broken, INPUT, lambda: crops, names(network), describe="image {}".format)


def test_no_crop_is_running_when_an_error_frees_the_network(
    network: Network, crops: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    running: set[int] = set()
    at_close: list[set[int]] = []
    run_blobs, close = NcnnNet.run_blobs, NcnnNet.close

    def slow(
        net: NcnnNet, tensor: NDArray[np.float32], blobs: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        running.add(id(tensor))
        if np.isfinite(tensor).all():
            time.sleep(0.2)
        found = run_blobs(net, tensor, blobs)
        running.discard(id(tensor))
        return found

    def watched(net: NcnnNet) -> None:
        at_close.append(set(running))
        close(net)

    monkeypatch.setattr(NcnnNet, "run_blobs", slow)
    monkeypatch.setattr(NcnnNet, "close", watched)
    broken = [np.full_like(crops[0], np.nan), *crops[1:]]
    with pytest.raises(InputError, match="NaN or infinity"):
        collect(network, INPUT, lambda: broken, names(network))
    assert at_close == [set()]


def test_no_crops_are_refused(network: Network) -> None:
    with pytest.raises(InputError, match="no calibration crops"):
        collect(network, INPUT, list, names(network))


def test_an_error_in_the_stream_of_crops_comes_through(
    network: Network, crops: list[NDArray[np.float32]]
) -> None:
    def stream() -> Iterator[NDArray[np.float32]]:
        yield crops[0]
        message = "is truncated"
        raise InputError(message, path="a.jpg")

    with pytest.raises(InputError, match=r"a\.jpg: is truncated"):
        collect(network, INPUT, stream, names(network))


def test_the_stream_is_read_just_ahead_of_the_network(
    network: Network, crops: list[NDArray[np.float32]]
) -> None:
    finished = threading.Semaphore(0)
    ahead = []

    def stream() -> Iterator[NDArray[np.float32]]:
        done = 0
        for given in range(40):
            while finished.acquire(blocking=False):
                done += 1
            ahead.append(given - done)
            yield crops[given % CROPS]

    def progress(stage: str, done: int, total: int) -> None:
        finished.release()

    collect(network, INPUT, stream, names(network), progress, threads=2)
    assert max(ahead) <= 4


def test_progress_counts_both_passes(network: Network, crops: list[NDArray[np.float32]]) -> None:
    seen = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    collect(network, INPUT, lambda: crops, ["stem"], progress, total=CROPS)
    assert seen == [
        (stage, done, CROPS) for stage in ("ranges", "histograms") for done in range(1, CROPS + 1)
    ]
