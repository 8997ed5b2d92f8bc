import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.blob_accumulator import sampling_phase
from quantkit.calibration.layer_inputs import LayerInputs
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.selection.magnitude_bins import magnitude_edges
from quantkit.selection.observing import SAMPLED, observe
from tests.nets import INPUT, crop, small_network

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def inputs(network: Network) -> LayerInputs:
    return LayerInputs.of(network, [layer.name for layer in int8_layers(network)])


@pytest.fixture(scope="module")
def crops() -> list[Array]:
    rng = np.random.default_rng(1)
    return [crop(rng) * scale for scale in (1, 0.01, 30, 1, 2, 5)]


@pytest.fixture(scope="module")
def rows(network: Network, inputs: LayerInputs, crops: list[Array]) -> NDArray[np.void]:
    return np.array(list(observe(network, INPUT, inputs, crops)))


@pytest.fixture(scope="module")
def blobs(network: Network, inputs: LayerInputs, crops: list[Array]) -> list[dict[str, Array]]:
    with NcnnNet.of(network, INPUT) as net:
        return [net.run_blobs(tensor, inputs.blobs) for tensor in crops]


def counted(values: Array) -> NDArray[np.intp]:
    places = np.searchsorted(magnitude_edges(), np.abs(values.reshape(-1)), side="right") - 1
    return np.bincount(places, minlength=48)


def stride_of(size: int) -> int:
    """The least one that is prime to the size and leaves no more values than are wanted."""
    return next(
        step for step in range(1, size) if size / step <= SAMPLED and math.gcd(step, size) == 1
    )


def test_the_largest_value_is_that_of_the_blob_to_the_bit(
    rows: NDArray[np.void], blobs: list[dict[str, Array]], inputs: LayerInputs
) -> None:
    expected = [[np.abs(one[name]).max() for name in inputs.blobs] for one in blobs]
    assert rows["absmax"].tobytes() == np.array(expected, np.float32).tobytes()


def test_all_values_of_small_blobs_are_counted(network: Network, inputs: LayerInputs) -> None:
    tensor = np.random.default_rng(2).standard_normal((3, 24, 16)).astype(np.float32)
    (row,) = observe(network, INPUT, inputs, [tensor])
    with NcnnNet.of(network, INPUT) as net:
        blobs = net.run_blobs(tensor, inputs.blobs)
    assert max(blob.size for blob in blobs.values()) <= SAMPLED
    expected = [counted(blobs[name]).tolist() for name in inputs.blobs]
    assert row["counts"].tolist() == expected


def test_evenly_spaced_values_of_a_large_blob_are_counted_and_its_largest(
    rows: NDArray[np.void], crops: list[Array], inputs: LayerInputs
) -> None:
    place = inputs.blobs.index(INPUT)
    for row, tensor in zip(rows, crops, strict=True):
        values = tensor.reshape(-1)
        stride = stride_of(values.size)
        expected = counted(values[sampling_phase(tensor) % stride :: stride])
        largest = counted(np.abs(values).max(keepdims=True))
        assert row["counts"][place].tolist() == np.maximum(expected, largest).tolist()


def test_a_sample_of_a_large_blob_has_the_distribution_of_all_its_values(
    rows: NDArray[np.void], blobs: list[dict[str, Array]], inputs: LayerInputs
) -> None:
    large = [k for k, name in enumerate(inputs.blobs) if blobs[0][name].size > SAMPLED]
    assert len(large) >= 3
    for row, one in zip(rows, blobs, strict=True):
        for place in large:
            found, everything = row["counts"][place], counted(one[inputs.blobs[place]])
            step = stride_of(everything.sum())
            assert abs(found.sum() - everything.sum() / step) <= 2
            assert (found <= everything).all()
            shares = [np.cumsum(counts) / counts.sum() for counts in (found, everything)]
            assert np.abs(shares[0] - shares[1]).max() < 2.2 / np.sqrt(found.sum())


def test_a_largest_value_is_counted_once_whether_the_sample_has_or_misses_it(
    network: Network, inputs: LayerInputs
) -> None:
    place = inputs.blobs.index(INPUT)
    for position in range(stride_of(3 * 64 * 48)):
        tensor = np.full((3, 64, 48), 0.5, np.float32)
        tensor.reshape(-1)[position] = -100  # between 96 and 128
        (row,) = observe(network, INPUT, inputs, [tensor])
        assert row["absmax"][place] == 100
        assert row["counts"][place][37] == 1


@pytest.mark.parametrize("threads", [1, 4, 9])
def test_threads_change_nothing(
    network: Network,
    inputs: LayerInputs,
    crops: list[Array],
    rows: NDArray[np.void],
    threads: int,
) -> None:
    found = list(observe(network, INPUT, inputs, crops, threads))
    assert [row.tobytes() for row in found] == [row.tobytes() for row in rows]


def test_other_crops_change_nothing(
    network: Network, inputs: LayerInputs, crops: list[Array], rows: NDArray[np.void]
) -> None:
    found = list(observe(network, INPUT, inputs, crops[::-1]))
    assert [row.tobytes() for row in found[::-1]] == [row.tobytes() for row in rows]


def test_crops_are_read_as_they_are_needed(
    network: Network, inputs: LayerInputs, crops: list[Array]
) -> None:
    read = []

    def stream() -> Iterator[Array]:
        for number, tensor in enumerate(crops):
            read.append(number)
            yield tensor

    rows = observe(network, INPUT, inputs, stream(), threads=1)
    next(rows)
    assert read == [0, 1]
    rows.close()  # type: ignore[attr-defined]
    assert read == [0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_crop_that_is_not_finite_is_named_with_blob_and_layer(
    network: Network, inputs: LayerInputs, crops: list[Array], bad: float
) -> None:
    broken = [*crops[:3], crops[3].copy()]
    broken[3][0, 5, 5] = bad
    rows = observe(network, INPUT, inputs, broken, describe="person {}".format)
    for _ in range(3):
        next(rows)
    with pytest.raises(InputError, match=r"'data', the input of layer 'stem', .* person 3;"):
        next(rows)


def test_weights_that_are_not_finite_name_the_layer_behind_them(
    inputs: LayerInputs, crops: list[Array]
) -> None:
    broken = small_network(np.random.default_rng(0))
    broken.weights["expand"]["weight"][:] = np.nan  # no ReLU behind it makes them zeros
    with pytest.raises(InputError, match=r"'expand', the input of layer 'residual', .* crop 0;"):
        list(observe(broken, INPUT, inputs, crops))


@pytest.mark.parametrize("shape", [(64, 48), (0, 64, 48), (1, 3, 64, 48)])
def test_a_crop_of_another_shape_is_refused(
    network: Network, inputs: LayerInputs, crops: list[Array], shape: tuple[int, ...]
) -> None:
    with pytest.raises(InputError, match=r"shape \(channels, height, width\)"):
        list(observe(network, INPUT, inputs, [crops[0], np.zeros(shape, np.float32)]))


def test_no_crops_give_no_rows(network: Network, inputs: LayerInputs) -> None:
    assert list(observe(network, INPUT, inputs, [])) == []
