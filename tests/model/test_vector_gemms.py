"""Products of a vector, against numpy in float64 and on ncnn."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.param import parse_param
from quantkit.model.shapes import blob_shapes
from quantkit.model.vector_gemms import without_vector_gemms
from quantkit.model.weights import parse_weights
from quantkit.quantization import quantize
from tests.nets import INPUT, OUTPUT, NetBuilder
from tests.quantization.agreement import FloatArray, simple_table

INNER, WIDTH = 32, 34
SHAPE = (INNER, 5, 4)
ADDENDS = {None: (0,), 0: (1,), 3: (WIDTH, 1), 4: (WIDTH,)}
"""Width, and height, of what is added, by ncnn's name of how it is broadcast."""


def product(
    *, constant: bool, transposed: bool = False, addend: int | None = 4, **more: int
) -> Network:
    """Pooling to a vector, and a Gemm of it."""
    net = NetBuilder(np.random.default_rng(0))
    net.add("Pooling", "pool", (INPUT,), ("vector",), {0: 1, 4: 1})
    params: dict[int, int | str] = {0: "1", 1: "1", 3: int(transposed)}
    bottoms = ["vector"]
    if constant:
        sizes = {7: 1, 8: WIDTH, 9: INNER}
        params |= {5: 1, 6: int(addend is not None), 10: -1 if addend is None else addend, **sizes}
    else:
        width, height = (INNER, WIDTH) if transposed else (WIDTH, INNER)
        net.add("MemoryData", "matrix", (), ("matrix",), {0: width, 1: height})
        bottoms.append("matrix")
        if addend is not None:
            sizes = dict(enumerate(ADDENDS[addend]))
            net.add("MemoryData", "addend", (), ("addend",), sizes)
            bottoms.append("addend")
    params |= {int(key.removeprefix("p")): value for key, value in more.items()}
    net.add("Gemm", "fc", bottoms, (OUTPUT,), params)
    built = net.build()
    fc = built.param.layer("fc").with_params({0: "1.5", 1: "0.25"})
    return built.replaced({"fc": fc}, {})


def expected(network: Network, image: FloatArray) -> FloatArray:
    fc = network.param.layer("fc")
    if fc.int_param(5, 0):
        own = network.weights["fc"]
        matrix, addend = own["b"], own.get("c")
    else:
        matrix = network.weights["matrix"]["data"]
        addend = network.weights["addend"]["data"] if "addend" in network.weights else None
    b = matrix.astype(np.float64).reshape((-1, INNER) if fc.int_param(3, 0) else (INNER, -1))
    sums = image.astype(np.float64).mean((1, 2)) @ (b.T if fc.int_param(3, 0) else b)
    return np.asarray(1.5 * (sums + (0 if addend is None else 0.25 * addend)))


def rewritten(network: Network) -> Network:
    found = without_vector_gemms(network, shapes(network))
    assert found.layers == ("fc",)
    return found.network


def shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    return blob_shapes(network.param, {INPUT: SHAPE})


def image() -> FloatArray:
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


def run(network: Network, *, packing: bool = True) -> FloatArray:
    with NcnnNet.of(network, INPUT, (OUTPUT,), packing=packing) as net:
        return net.run(image())[0]


@pytest.mark.parametrize("addend", ADDENDS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_the_product_is_right_in_ncnn_with_and_without_packing(
    constant: bool, transposed: bool, addend: int | None
) -> None:
    network = product(constant=constant, transposed=transposed, addend=addend)
    exact = expected(network, image())
    assert run(network, packing=False) == pytest.approx(exact[None], rel=1e-5, abs=1e-5)
    for packing in (True, False):
        got = run(rewritten(network), packing=packing)
        assert got.shape == (1, WIDTH)
        assert got == pytest.approx(exact[None], rel=1e-5, abs=1e-5)


def test_a_transposed_output_stays_a_column() -> None:
    network = product(constant=True, p14=1)
    assert shapes(network)[OUTPUT] == (WIDTH, 1)
    got = run(rewritten(network))
    assert got == pytest.approx(expected(network, image())[:, None], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("constant", [False, True])
def test_the_shapes_of_the_graph_stay(constant: bool) -> None:
    network = product(constant=constant)
    assert shapes(network)[OUTPUT] == (1, WIDTH)
    assert shapes(rewritten(network))[OUTPUT] == (1, WIDTH)


def test_the_result_is_an_ordinary_network_without_the_constants() -> None:
    network = rewritten(product(constant=False))
    assert [layer.type for layer in network.param.layers] == [
        "Input",
        "Pooling",
        "InnerProduct",
        "Reshape",
    ]
    param = parse_param(network.param_text())
    again = Network(param, parse_weights(param, network.bin_bytes()))
    assert again.sha256 == network.sha256


def test_it_can_be_int8() -> None:
    given = product(constant=False)
    assert int8_layers(given) == ()
    network = rewritten(given)
    assert [layer.name for layer in int8_layers(network)] == ["fc"]
    int8 = quantize(network, simple_table(network, image(), ["fc"]))
    exact = expected(given, image())
    noise = run(int8)[0] - exact
    assert np.square(noise).sum() < 1e-3 * np.square(exact).sum()


def test_a_product_of_a_matrix_stays() -> None:
    network = product(constant=True)
    matrix = {**shapes(network), "vector": (4, INNER)}
    same = without_vector_gemms(network, matrix)
    assert same.layers == ()
    assert same.network is network


def test_a_matrix_that_is_computed_stays() -> None:
    network = product(constant=False)
    layers = tuple(
        replace(layer, type="ReLU", bottoms=("x",)) if layer.name == "matrix" else layer
        for layer in network.param.layers
    )
    source = replace(layers[0], name="x", tops=("x",))
    param = replace(network.param, layers=(source, *layers))
    weights = {name: one for name, one in network.weights.items() if name != "matrix"}
    assert without_vector_gemms(Network(param, weights), shapes(network)).layers == ()
