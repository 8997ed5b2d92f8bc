import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.eligibility import hazards, int8_layers
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.vector_convolutions import as_inner_products
from quantkit.quantization import quantize
from quantkit.tuning.sqnr import sqnr_db as agreement
from tests.nets import INPUT, OUTPUT, NetBuilder
from tests.quantization.agreement import FloatArray, simple_table

SHAPE = (16, 9, 7)


def squeeze_excite(**activation: int | str) -> Network:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("body", INPUT, "body", (16, 32), kernel=3, relu=True)
    features, squeezed = net.split("attend", "body")
    net.add("Pooling", "pool", (squeezed,), ("pooled",), {0: 1, 4: 1})
    net.conv("reduce", "pooled", "reduced", (32, 8), relu=True)
    more = {int(key.removeprefix("p").replace("m", "-")): v for key, v in activation.items()}
    net.add("Convolution", "expand", ("reduced",), ("gate",), {0: 32, 1: 1, 5: 1, 6: 256} | more)
    net.add("BinaryOp", "scale", (features, "gate"), ("scaled",), {0: 2})
    net.add("Interp", "resize", ("scaled",), (OUTPUT,), {0: 1, 1: "2.000000e+00", 2: "2.0"})
    return net.build()


def run(network: Network) -> list[tuple[FloatArray, ...]]:
    rng = np.random.default_rng(1)
    with NcnnNet.of(network, INPUT, (OUTPUT,)) as net:
        return [net.run(rng.normal(size=SHAPE).astype(np.float32)) for _ in range(3)]


def shapes(network: Network) -> dict[str, tuple[int, ...]]:
    return dict(blob_shapes(network.param, {INPUT: SHAPE}))


@pytest.mark.parametrize(
    "activation", [{"p9": 4}, {"p9": 1}, {"p9": 3, "pm23310": "2,0,6"}, {"p9": 3, "p10": "0,6"}, {}]
)
def test_the_output_stays_what_it_was(activation: dict[str, int | str]) -> None:
    network = squeeze_excite(**activation)
    rewritten = as_inner_products(network, shapes(network))
    assert rewritten.layers == ("reduce", "expand")
    assert agreement(run(network), run(rewritten.network)) > 120


def test_what_was_a_hazard_runs_in_int8() -> None:
    network = squeeze_excite(p9=4)
    assert set(hazards(network, shapes(network))) == {"reduce", "expand"}
    rewritten = as_inner_products(network, shapes(network)).network
    assert hazards(rewritten, shapes(rewritten)) == {}
    names = [layer.name for layer in int8_layers(rewritten)]
    assert names == ["body", "reduce", "expand"]
    tensor = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    int8 = quantize(rewritten, simple_table(rewritten, tensor, names))
    assert agreement(run(network), run(int8)) > 25


def test_convolutions_of_images_stay() -> None:
    network = squeeze_excite()
    images = shapes(network) | {"pooled": (32, 1, 1), "reduced": (8, 1, 1)}
    same = as_inner_products(network, images)
    assert same.layers == ()
    assert same.network.sha256 == network.sha256
