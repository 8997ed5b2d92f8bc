"""One pass against two, and against all values taken together."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration import kl, streaming
from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.statistics import ActivationStatistics, collect
from quantkit.calibration.streaming import collect_streaming
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from tests.nets import INPUT, crop, small_network

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def crops() -> list[Array]:
    rng = np.random.default_rng(1)
    return [crop(rng) for _ in range(12)]


@pytest.fixture(scope="module")
def exact(network: Network, crops: list[Array]) -> ActivationStatistics:
    return collect(network, INPUT, lambda: crops, names(network))


@pytest.fixture(scope="module")
def streamed(network: Network, crops: list[Array]) -> ActivationStatistics:
    total = len(crops)
    return collect_streaming(network, INPUT, crops, names(network), total=total, channels=True)


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_FEWEST_OF_A_CROP", 100)


def names(network: Network) -> list[str]:
    return [layer.name for layer in int8_layers(network)]


def plain(statistics: BlobStatistics) -> dict[str, object]:
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in vars(statistics).items()
    }


def test_ranges_and_counts_are_those_of_two_passes(
    exact: ActivationStatistics, streamed: ActivationStatistics
) -> None:
    assert list(streamed) == list(exact)
    for name, one in exact.items():
        found = plain(streamed[name])
        assert found | {"histogram": 0, "channel_absmax": 0} == plain(one) | {
            "histogram": 0,
            "channel_absmax": 0,
        }


def test_histograms_of_few_crops_are_off_by_less_than_a_bin(
    exact: ActivationStatistics, streamed: ActivationStatistics
) -> None:
    for name, one in exact.items():
        found = streamed[name].histogram
        assert found.sum() == one.histogram.sum()
        below, above = np.cumsum(one.histogram), np.cumsum(found)
        assert (above[1:] >= below[:-1]).all()
        assert (above[:-1] <= below[1:]).all()


def test_thresholds_are_those_of_two_passes(
    exact: ActivationStatistics, streamed: ActivationStatistics
) -> None:
    off = [abs(kl.threshold(streamed[name]) / kl.threshold(one) - 1) for name, one in exact.items()]
    assert np.median(off) < 0.01


@pytest.mark.usefixtures("sparse")
def test_a_sample_has_the_distribution_of_all_values(
    network: Network, crops: list[Array], exact: ActivationStatistics
) -> None:
    sampled = collect_streaming(network, INPUT, crops, names(network), sampled=1)
    for name, one in exact.items():
        found = sampled[name].histogram
        assert sampled[name].absmax == one.absmax
        if one.count > 20_000:
            assert found.sum() < one.count / 3
        shares = [np.cumsum(h) / h.sum() for h in (found, one.histogram)]
        # Kolmogorov and Smirnov: beyond 2.2 deviations of neighbouring, so dependent, values.
        assert np.abs(shares[0] - shares[1]).max() < 2.2 / np.sqrt(found.sum())


@pytest.mark.parametrize("dense", [True, False])
def test_neither_threads_nor_order_change_anything(
    network: Network, crops: list[Array], request: pytest.FixtureRequest, dense: bool
) -> None:
    if not dense:
        request.getfixturevalue("sparse")
    runs = [
        collect_streaming(
            network,
            INPUT,
            order,
            names(network),
            threads=threads,
            channels=True,
            sampled=streaming.SAMPLED_VALUES if dense else 1,
        )
        for order, threads in [(crops, 1), (crops[::-1], 1), (crops[5:] + crops[:5], 4)]
    ]
    for name in names(network):
        first, *others = (plain(run[name]) for run in runs)
        assert all(other == first for other in others)


def test_the_largest_value_of_each_channel_is_found(
    network: Network, crops: list[Array], streamed: ActivationStatistics
) -> None:
    for name, one in streamed.items():
        bottom = network.param.layer(name).bottoms[0]
        with NcnnNet.of(network, INPUT) as net:
            values = np.abs([net.run_blobs(tensor, [bottom])[bottom] for tensor in crops])
        expected = values.reshape(len(crops), one.shape[0], -1).max(axis=(0, 2))
        assert one.channel_absmax is not None
        assert one.channel_absmax.tolist() == expected.tolist()


def test_layers_behind_a_split_share_one_object(streamed: ActivationStatistics) -> None:
    assert streamed["left"] is streamed["right"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_activation_that_is_not_finite_names_blob_layer_and_crop(
    network: Network, crops: list[Array], bad: float
) -> None:
    broken = [*crops[:3], crops[3].copy(), *crops[4:]]
    broken[3][0, 5, 5] = bad
    with pytest.raises(InputError, match=r"blob 'data', the input of layer 'stem'.* crop 3;"):
        collect_streaming(network, INPUT, broken, names(network))


def test_crops_are_read_once_and_counted(network: Network, crops: list[Array]) -> None:
    seen = []

    def stream() -> Iterator[Array]:
        yield from crops

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    collect_streaming(network, INPUT, stream(), ["stem"], progress, total=len(crops))
    assert seen == [("statistics", done, len(crops)) for done in range(1, len(crops) + 1)]


def test_no_crops_are_refused(network: Network) -> None:
    with pytest.raises(InputError, match="no calibration crops"):
        collect_streaming(network, INPUT, [], names(network))


def test_a_flat_input_is_refused(network: Network) -> None:
    flat = np.zeros((64, 48), np.float32)
    with pytest.raises(InputError, match=r"shape \(channels, height, width\)"):
        collect_streaming(network, INPUT, [flat], names(network))
