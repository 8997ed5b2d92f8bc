import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.network_check import check_conversion, check_pair, unknown_types
from quantkit.errors import InputError
from quantkit.model.layer_types import ARITIES
from quantkit.model.param import Layer, parse_param
from quantkit.model.source import NcnnFiles
from tests.nets import INPUT, OUTPUT, small_network, write_pair

UNKNOWN = """7767517
6 6
Input in 0 1 a
Tensor.slice Tensor.slice_1 1 1 a b
ReLU relu 1 1 b c
Tensor.slice Tensor.slice_2 1 1 c d
pnnx.Expression e0 1 1 d e
F.grid_sample f0 1 1 e f
"""


@pytest.fixture
def files(tmp_path: Path) -> NcnnFiles:
    return write_pair(small_network(np.random.default_rng(0)), tmp_path)


def test_a_sound_pair_passes(files: NcnnFiles) -> None:
    assert check_pair(files, (3, 64, 48)).param.layers[0].name == INPUT
    assert check_pair(files).weights.keys() == check_pair(files, (3, 64, 48)).weights.keys()


def test_unknown_types_are_named_with_their_layers(files: NcnnFiles) -> None:
    text = files.param.read_text()
    text = text.replace("Sigmoid  ", "MyAct  ").replace("Pooling  ", "MyPool  ")
    files.param.write_text(text)
    with pytest.raises(InputError) as caught:
        check_pair(files, (3, 64, 48))
    wanted = "'MyPool' (2 layers: 'pool', 'squeeze'), 'MyAct' (1 layer: 'gate')"
    assert str(caught.value) == f"{files.param}: ncnn has no layer type {wanted}"
    with pytest.raises(InputError, match=r"ncnn cannot read it: it has no layer type 'MyPool' \(2"):
        NcnnNet(text, files.bin.read_bytes(), input=INPUT, outputs=(OUTPUT,))


def test_an_unknown_type_comes_before_what_its_weights_do_to_the_bin(files: NcnnFiles) -> None:
    files.param.write_text(files.param.read_text().replace("InnerProduct ", "MyProduct    "))
    with pytest.raises(InputError, match=r"no layer type 'MyProduct' \(1 layer: 'excite'\)"):
        check_pair(files)


def test_the_runtime_is_asked_what_types_it_has() -> None:
    code = "import ncnn,sys; print([t for t in sys.argv[1:] if ncnn.Net().load_param_mem("
    code += "f'7767517\\n2 2\\nInput i 0 1 a\\n{t} x 1 1 a b\\n')])"
    kinds = ["ReLU", "Gemm", "SPP", "Focus", "nn.Conv2d"]
    done = subprocess.run([sys.executable, "-c", code, *kinds], capture_output=True, check=True)
    refused = done.stdout.decode().strip()
    assert str(list(unknown_types(Layer(kind, "x", (), ()) for kind in kinds))) == refused
    known = set(ARITIES) - set(unknown_types(Layer(kind, "x", (), ()) for kind in ARITIES))
    assert len(known) > 100


def test_a_wrong_size_is_refused_before_anything_runs(files: NcnnFiles) -> None:
    with pytest.raises(InputError, match="'stem' takes 3 channels, its input has 4"):
        check_pair(files, (4, 64, 48))


def test_operators_that_pnnx_left_are_named_with_their_onnx_types() -> None:
    with pytest.raises(InputError) as caught:
        check_conversion(parse_param(UNKNOWN), "net.onnx", lambda: ["Slice", "GridSample", "Relu"])
    assert str(caught.value) == (
        "pnnx left 4 operators of net.onnx that ncnn cannot run: "
        "'Tensor.slice' (2 layers: 'Tensor.slice_1', 'Tensor.slice_2', made of ONNX Slice), "
        "'pnnx.Expression' (1 layer: 'e0'), "
        "'F.grid_sample' (1 layer: 'f0', made of ONNX GridSample); "
        "build the network without them and export it again"
    )
    check_conversion(small_network(np.random.default_rng(0)).param, "net.onnx")
