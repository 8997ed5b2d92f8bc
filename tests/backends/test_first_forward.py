"""What makes fp32 outputs in ncnn no reference, and what is run instead."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends import first_forward
from quantkit.backends.export_chain import export
from quantkit.backends.first_forward import RECORD, check_first_forward, output_fault
from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import LayerWeights, Record
from quantkit.progress import Feedback
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network, write_pair

SAMPLES = [crop(np.random.default_rng(seed)) for seed in range(3)]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Do the child's work in this process; keeps what was run."""
    runs: list[object] = []

    def run(who: str, feedback: Feedback, work: Callable[..., Any], *given: object) -> object:
        runs.append(given)
        return work(feedback, *given)

    monkeypatch.setattr(first_forward, "in_child", run)
    return runs


def check(network: Network, folder: Path, *, key: str = "k", compared: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    pair = NcnnFiles(folder / "net.param", folder / "net.bin", INPUT, (OUTPUT,))
    files = pair if pair.param.is_file() else write_pair(network, folder)
    check_first_forward(
        files, SAMPLES, folder / "work", key=key, compared=compared, feedback=Feedback()
    )


def filled(network: Network, name: str, values: Mapping[str, float]) -> Network:
    """Fill weights of a layer with one value each."""
    records = network.weights[name].records
    changed = {
        role: Record(np.full_like(record.stored, values.get(role, 0.0)), record.tag)
        for role, record in records.items()
    }
    return network.replaced({}, {name: LayerWeights(changed)})


def vector_network(*, computed: bool) -> Network:
    """A Gemm of a pooled vector, by a constant matrix or by one that the network computes."""
    net = NetBuilder(np.random.default_rng(0))
    net.conv("body", INPUT, "body", (3, 32), kernel=3, stride=2)
    net.add("Pooling", "pool", ("body",), ("vector",), {0: 1, 4: 1})
    net.add("MemoryData", "matrix", (), ("matrix",), {0: 34, 1: 32})
    if computed:
        net.add("TanH", "tanh", ("matrix",), ("computed",))
    bottoms = ("vector", "computed" if computed else "matrix")
    net.add("Gemm", "fc", bottoms, (OUTPUT,), {0: 1})
    return net.build()


def test_a_sound_network_is_run_once_until_something_changes(
    tmp_path: Path, here: list[object]
) -> None:
    network = small_network(np.random.default_rng(0))
    for key in ("k", "k", "other", "other"):
        check(network, tmp_path, key=key)
    assert len(here) == 2


@pytest.mark.parametrize("compared", [False, True])
def test_outputs_that_are_not_finite_are_named_with_the_layer(
    tmp_path: Path, here: list[object], compared: bool
) -> None:
    network = filled(small_network(np.random.default_rng(0)), "left", {"weight": 3e38})
    wanted = (
        rf"net\.param: .*'{OUTPUT}' holds NaN or infinity in \d+ of \d+ values;"
        " Convolution 'left' is the first layer that gives any"
    )
    with pytest.raises(InputError, match=wanted):
        check(network, tmp_path, compared=compared)
    assert not (tmp_path / "work" / RECORD).exists()
    with pytest.raises(InputError, match=wanted):
        check(network, tmp_path, compared=compared)


def test_an_output_that_no_crop_changes_is_named(tmp_path: Path, here: list[object]) -> None:
    network = filled(small_network(np.random.default_rng(0)), "head", {"bias": 0.5})
    with pytest.raises(InputError, match=f"'{OUTPUT}' is the same for all of 3 different crops"):
        check(network, tmp_path)


def test_one_constant_plane_is_no_constant_output() -> None:
    maps = [
        np.random.default_rng(seed).normal(size=(3, 4, 4)).astype(np.float32) for seed in (0, 1)
    ]
    for one in maps:
        one[1] = 0.0
    assert output_fault(["x"], [(one.astype(np.float32),) for one in maps]) is None
    flat = [(np.full((2, 2), value, np.float32),) for value in (1.0, 2.0)]
    assert output_fault(["x"], flat) == "output 'x' has the same value everywhere, 1"
    single = [(np.full(1, value, np.float32),) for value in (1.0, 2.0)]
    assert output_fault(["score"], single) is None


def test_a_layer_that_packing_makes_wrong_is_named(tmp_path: Path, here: list[object]) -> None:
    wanted = r"ncnn computes Gemm 'fc' wrongly where it packs blobs: shape \(\d+, 34\) instead of"
    with pytest.raises(InputError, match=wanted + r" \(1, 34\); make its matrix a constant"):
        check(vector_network(computed=True), tmp_path)


def test_values_that_packing_makes_wrong_are_seen(
    tmp_path: Path, here: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ncnn itself does this to no other layer that is known, so one is made wrong here."""
    load = NcnnNet.of.__func__  # type: ignore[attr-defined]

    def wrong_if_packed(cls: type[NcnnNet], network: Network, *given: Any, **named: Any) -> NcnnNet:
        if named.get("packing", True):
            network = filled(network, "grouped", {"weight": 0.1})
        net: NcnnNet = load(cls, network, *given, **named)
        return net

    monkeypatch.setattr(NcnnNet, "of", classmethod(wrong_if_packed))
    with pytest.raises(InputError, match=r"ConvolutionDepthWise 'grouped' wrongly .* other values"):
        check(small_network(np.random.default_rng(0)), tmp_path)


def test_a_pair_with_a_product_of_a_vector_is_run_as_an_inner_product(
    tmp_path: Path, here: list[object]
) -> None:
    files = write_pair(vector_network(computed=False), tmp_path)
    notes: list[str] = []
    for _ in range(2):
        report = export(files, SAMPLES, tmp_path / "work", feedback=Feedback(note=notes.append))
        check_first_forward(
            report.ncnn, SAMPLES, tmp_path, key="k", compared=False, feedback=Feedback()
        )
    assert len(set(notes)) == 1
    assert re.match(r"net\.param: Gemm 'fc' reads a vector, .* InnerProduct", notes[0])
    assert report.ncnn.param.parent == tmp_path / "work"
    with NcnnNet.of(read_network(files), INPUT, (OUTPUT,), packing=False) as net:
        right = [net.run(sample)[0] for sample in SAMPLES]
    with NcnnNet.from_files(report.ncnn) as net:
        got = [net.run(sample)[0] for sample in SAMPLES]
    assert np.array(got) == pytest.approx(np.array(right), rel=1e-4, abs=1e-4)


def test_a_pair_that_ncnn_runs_rightly_stays_where_it_is(tmp_path: Path) -> None:
    files = write_pair(small_network(np.random.default_rng(0)), tmp_path)
    assert export(files, SAMPLES, tmp_path / "work").ncnn is files
    assert not (tmp_path / "work").exists()
