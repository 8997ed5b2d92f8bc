from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.quantization import quantize
from quantkit.quantization.rounding import to_int8
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_layer import RoundingOptions
from quantkit.tuning.rounding_moments import Sampling
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import run, simple_table

Array = NDArray[np.float32]
PLAIN = RoundingOptions(rounding="nearest", bias=False)


def smooth(seed: int) -> Array:
    """A crop whose neighbouring pixels are alike, as in images."""
    coarse = np.random.default_rng(seed).standard_normal((3, 16, 12)).astype(np.float32)
    return (
        np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2) + crop(np.random.default_rng(seed)) / 4
    )


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(network: Network) -> CalibrationTable:
    fine = simple_table(network, smooth(0), [layer.name for layer in int8_layers(network)])
    # Coarse weights, so that their rounding is what hurts.
    coarse = {name: tuple(x / 16 for x in scales) for name, scales in fine.weight_scales.items()}
    return replace(fine, weight_scales=coarse)


def sampling(count: int = 6, threads: int = 2, positions: int = 256) -> Sampling:
    def crops() -> list[Array]:
        return [smooth(seed) for seed in range(count)]

    return Sampling(crops, INPUT, positions=positions, threads=threads)


def noise(network: Network, fp32: Network, seed: int = 50) -> float:
    off = run(network, smooth(seed), OUTPUT) - run(fp32, smooth(seed), OUTPUT)
    return float(np.square(off).mean())


def test_progress_counts_up_to_all_crops(network: Network, table: CalibrationTable) -> None:
    seen: list[tuple[int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((done, total))

    round_weights(network, table, replace(sampling(3), total=3, progress=progress))
    assert seen[-1] == (3, 3)
    assert all(done <= total for done, total in seen)


def test_the_int8_network_errs_less_in_ncnn(network: Network, table: CalibrationTable) -> None:
    rounded = round_weights(network, table, sampling())
    plain = noise(quantize(network, table), network)
    assert noise(quantize(rounded.network, table), network) < plain / 2
    assert rounded.gain_db > 3
    assert rounded.layers.keys() == set(table.layers)


@pytest.mark.parametrize(
    "options",
    [
        RoundingOptions(rounding="nearest"),
        RoundingOptions(bias=False),
        RoundingOptions(bias=False, sweeps=0),
    ],
)
def test_each_part_alone_lowers_the_layers_errors(
    network: Network, table: CalibrationTable, options: RoundingOptions
) -> None:
    rounded = round_weights(network, table, sampling(), options)
    for name, one in rounded.layers.items():
        assert one.chosen <= one.nearest * (1 + 1e-9), name
        assert (one.moved > 0) == (options.rounding == "gptq"), name


def test_with_everything_off_the_int8_network_is_the_same(
    network: Network, table: CalibrationTable
) -> None:
    rounded = round_weights(network, table, sampling(1), PLAIN)
    assert quantize(rounded.network, table).sha256 == quantize(network, table).sha256


def test_snapped_weights_round_to_themselves(network: Network, table: CalibrationTable) -> None:
    rounded = round_weights(network, table, sampling())
    for name in table.layers:
        scales = np.array(table.weight_scales[name], np.float32)
        weight = rounded.network.weights[name]["weight"]
        before = to_int8(network.weights[name]["weight"], scales).reshape(len(scales), -1)
        found = to_int8(weight, scales).reshape(len(scales), -1)
        exact = found / scales[:, None].astype(np.float64)
        np.testing.assert_array_equal(weight, exact.astype(np.float32).reshape(-1))
        most = np.abs(before.astype(int)).max(axis=1)
        assert (np.abs(found.astype(int)).max(axis=1) <= most).all()


def test_threads_do_not_change_the_result(network: Network, table: CalibrationTable) -> None:
    one, two = (
        round_weights(network, table, sampling(3, threads=n, positions=20)).network.sha256
        for n in (1, 2)
    )
    assert one == two


def test_layers_that_are_not_in_the_table_stay(network: Network, table: CalibrationTable) -> None:
    rounded = round_weights(network, table.without(["stem", "excite"]), sampling(2))
    for name in ("stem", "excite"):
        assert rounded.network.weights[name] is network.weights[name]


def test_little_memory_gives_the_same_in_more_passes(
    network: Network, table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        if done == 1:
            passes.append(stage)

    told = replace(sampling(2), progress=progress)
    whole = round_weights(network, table, told)
    assert len(passes) == 1
    passes.clear()
    monkeypatch.setattr("quantkit.tuning.rounding._MEMORY", 500_000)
    assert round_weights(network, table, told).network.sha256 == whole.network.sha256
    assert len(passes) > 2


@pytest.mark.slow
def test_winograd_sums_stay_within_the_bound() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("wide", INPUT, "out", (320, 8), kernel=3)
    wide = net.build()
    rng = np.random.default_rng(1)
    image = rng.standard_normal((320, 6, 6)).astype(np.float32) + 3
    largest = np.abs(wide.weights["wide"]["weight"].reshape(8, -1)).max(axis=1)
    sums = np.abs(wide.weights["wide"]["weight"].reshape(8, -1)).sum(axis=1)
    # The finest scales that keep the sums of nearest rounding within the bound.
    scales = np.minimum(127 / largest, MOST_EXACT / 127 / sums)
    table = CalibrationTable({"wide": tuple(map(float, scales))}, {"wide": 20.0})
    rounded = round_weights(wide, table, Sampling(lambda: [image], INPUT)).network
    before, after = (
        largest_sums(
            to_int8(one.weights["wide"]["weight"], scales.astype(np.float32)).reshape(8, -1)
        )
        for one in (wide, rounded)
    )
    assert (after <= np.maximum(before, MOST_EXACT)).all()


def test_no_crops_are_an_error(network: Network, table: CalibrationTable) -> None:
    with pytest.raises(InputError, match="no crops"):
        round_weights(network, table, sampling(0))


def test_an_input_that_never_varies_is_rounded_too(
    network: Network, table: CalibrationTable
) -> None:
    # One crop gives a vector once: its covariance is what float32 sums leave behind.
    one_patch = sampling(1, positions=1)
    rounded = round_weights(network, table, one_patch)
    assert set(rounded.layers) == set(table.layers)
