"""One pass for nested sets against a pass for each."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration import streaming
from quantkit.calibration.nested import collect_nested
from quantkit.calibration.statistics import collect
from quantkit.calibration.streaming import collect_streaming
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from tests.nets import INPUT, crop, small_network

Array = NDArray[np.float32]
SIZES = (2, 3, 8, 12)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def crops() -> list[Array]:
    rng = np.random.default_rng(1)
    return [crop(rng) for _ in range(14)]


def names(network: Network) -> list[str]:
    return [layer.name for layer in int8_layers(network)]


def plain(statistics: object) -> dict[str, object]:
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in vars(statistics).items()
    }


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sampled", [streaming.SAMPLED_VALUES, 1000])
def test_each_set_has_the_bytes_of_a_pass_of_its_own(
    network: Network,
    crops: list[Array],
    threads: int,
    sampled: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "_FEWEST_OF_A_CROP", 50)
    nested = collect_nested(
        network, INPUT, crops, names(network), SIZES, threads=threads, sampled=sampled
    )
    for size, found in nested:
        alone = collect_streaming(
            network, INPUT, crops[:size], names(network), total=size, sampled=sampled
        )
        assert list(found) == list(alone)
        for name, one in alone.items():
            assert plain(found[name]) == plain(one)


def test_ranges_are_those_of_two_passes_of_the_plain_collector(
    network: Network, crops: list[Array]
) -> None:
    for size, found in collect_nested(network, INPUT, crops, names(network), SIZES):
        exact = collect(network, INPUT, lambda size=size: crops[:size], names(network))  # type: ignore[misc]
        for name, one in exact.items():
            got = found[name]
            assert (got.absmax, got.minimum, got.maximum) == (one.absmax, one.minimum, one.maximum)
            assert (got.count, got.zeros) == (one.count, one.zeros)
            assert got.histogram.sum() == one.histogram.sum()


def test_a_crop_is_read_when_it_is_needed_and_none_beyond_the_largest_set(
    network: Network, crops: list[Array]
) -> None:
    read = 0

    def stream() -> Iterator[Array]:
        nonlocal read
        for one in crops:
            read += 1
            yield one

    seen = [(size, read) for size, _ in collect_nested(network, INPUT, stream(), ["stem"], SIZES)]
    assert seen == [(size, size) for size in SIZES]


def test_progress_counts_the_crops_of_the_largest_set(network: Network, crops: list[Array]) -> None:
    seen = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    list(collect_nested(network, INPUT, crops, ["stem"], SIZES, progress))
    assert seen == [("statistics", done, 12) for done in range(1, 13)]


def test_too_few_crops_are_refused(network: Network, crops: list[Array]) -> None:
    with pytest.raises(InputError, match="of 8 crops are asked for, but there are 5"):
        list(collect_nested(network, INPUT, crops[:5], ["stem"], SIZES))


@pytest.mark.parametrize("sizes", [(), (0, 8), (8, 8), (16, 8)])
def test_sizes_that_do_not_nest_are_refused(network: Network, sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must ascend"):
        list(collect_nested(network, INPUT, [], ["stem"], sizes))
