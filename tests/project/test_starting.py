import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.data.preprocess import InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.decode import decode
from quantkit.model.mmlab import MMPoseSpec
from quantkit.project import load_project, starting
from quantkit.project.starting import (
    Answers,
    start_from_mmpose,
    start_from_ncnn,
    start_from_onnx,
)
from tests.nets import NetBuilder, write_pair
from tests.onnx_nets import image_net
from tests.project.test_config import SPEC

TRAINED = Answers(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), color="bgr")


def ncnn_pair(
    folder: Path, outputs: dict[str, tuple[int, int]], channels: int = 3
) -> tuple[Path, Path]:
    """Write a network of one strided convolution for each output (maps, stride)."""
    net = NetBuilder(np.random.default_rng(0))
    blobs = net.split("fork", "data", len(outputs)) if len(outputs) > 1 else ("data",)
    for blob, (name, (maps, stride)) in zip(blobs, outputs.items(), strict=True):
        net.conv(name, blob, name, (channels, maps), kernel=stride, stride=stride, p4=0)
    files = write_pair(net.build(), folder)
    return files.param, files.bin


@settings(deadline=None, max_examples=20)
@given(
    st.tuples(st.integers(2, 6), st.integers(2, 6)).map(lambda s: (8 * s[0], 8 * s[1])),
    st.sampled_from([1, 3]),
    st.sampled_from([13, 17, 21, 98]),
    st.sampled_from([2, 4]),
    st.booleans(),
)
def test_what_is_written_loads_and_decodes_what_the_network_gives(
    tmp_path_factory: pytest.TempPathFactory,
    size: tuple[int, int],
    channels: int,
    keypoints: int,
    stride: int,
    offsets: bool,
) -> None:
    folder = tmp_path_factory.mktemp("project")
    outputs = {"hm": (keypoints, stride)} | ({"off": (2 * keypoints, stride)} if offsets else {})
    param, weights = ncnn_pair(folder, outputs, channels)
    answers = replace(TRAINED, size=size)
    if channels == 1:
        answers = replace(answers, mean=(9.0,) * 3, std=(8.0,) * 3, color=None)
    start = start_from_ncnn(param, weights, folder, answers)
    assert start.questions == ()
    (folder / "quantkit.toml").write_text(start.text())
    project = load_project(folder)
    assert project.input.shape == (channels, size[1], size[0])
    assert project.input.color == ("gray" if channels == 1 else "bgr")
    assert project.input.mean == ((9.0,) if channels == 1 else (1.0, 2.0, 3.0))
    assert project.head.keypoints == keypoints
    tensor = np.random.default_rng(1).random(project.input.shape).astype(np.float32)
    with NcnnNet.from_files(project.source) as net:  # type: ignore[arg-type]
        points, _ = decode(net.run(tensor), project.head, project.input)
    assert points.shape == (keypoints, 2)


def test_a_bare_network_leaves_its_normalisation_open(tmp_path: Path) -> None:
    image_net(tmp_path / "m.onnx", [1, 3, 64, 48], {"hm": (21, 4)})
    start = start_from_onnx(tmp_path / "m.onnx", tmp_path)
    assert [question.key for question in start.questions] == ["mean", "std", "color"]
    text = start.text()
    assert "123.675" not in "".join(line.split("#")[0] for line in text.splitlines())
    values = tomllib.loads(text)
    assert values["input"]["mean"] == values["input"]["std"] == values["input"]["color"] == "?"
    assert values["keypoints"] == {"count": 21}
    assert any("this network has 21" in note for note in start.notes)
    assert any("[input] mean, [input] std, [input] color" in note for note in start.notes)
    (tmp_path / "quantkit.toml").write_text(text)
    with pytest.raises(InputError, match=r"quantkit.toml: \[input\] mean: fill in"):
        load_project(tmp_path)


def test_a_network_of_grey_levels_normalises_itself(tmp_path: Path) -> None:
    image_net(tmp_path / "m.onnx", [1, 64, 48, 3], {"hm": (17, 4)}, type=TensorProto.UINT8)
    start = start_from_onnx(tmp_path / "m.onnx", tmp_path)
    assert (start.mean, start.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert [question.key for question in start.questions] == ["color"]
    assert [note.split(" is ")[0] for note in start.notes[:3]] == [
        "input 'image'",
        "input 'image'",
        "output 'hm'",
    ]


def test_which_of_two_heatmaps_is_left_open_or_named(tmp_path: Path) -> None:
    pair = ncnn_pair(tmp_path, {"a": (17, 4), "b": (17, 8)})
    start = start_from_ncnn(*pair, tmp_path, replace(TRAINED, size=(48, 64)))
    assert [(question.key, question.default) for question in start.questions] == [("outputs", "a")]
    (tmp_path / "quantkit.toml").write_text(start.text())
    with pytest.raises(InputError, match=r"\[model.ncnn\] outputs: fill in"):
        load_project(tmp_path)
    answers = replace(TRAINED, size=(48, 64), outputs=("b",))
    (tmp_path / "quantkit.toml").write_text(start_from_ncnn(*pair, tmp_path, answers).text())
    assert load_project(tmp_path).source.outputs == ("b",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (Answers(), "give --size WIDTH HEIGHT"),
        (Answers(size=(4, 64)), "an input of 4x64: sides of 8 to 8192"),
        (Answers(size=(48, 64), std=(1.0, 0.0, 1.0)), "every std above 0"),
        (Answers(size=(48, 64), mean=(float("nan"),) * 3), "finite numbers"),
        (Answers(size=(48, 64), color="gray"), "--color gray: .* has 3 channels"),
        (Answers(size=(48, 64), head="simcc"), "--head simcc does not fit the outputs hm"),
        (Answers(size=(48, 64), outputs=("x",)), "--output x: the network has no such output"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    tmp_path: Path, answers: Answers, message: str
) -> None:
    pair = ncnn_pair(tmp_path, {"hm": (17, 4)})
    with pytest.raises(InputError, match=message):
        start_from_ncnn(*pair, tmp_path, answers).text()


def test_a_gray_network_has_one_mean(tmp_path: Path) -> None:
    pair = ncnn_pair(tmp_path, {"hm": (17, 4)}, channels=1)
    with pytest.raises(InputError, match=r"--color bgr: the network's input has 1 channel$"):
        start_from_ncnn(*pair, tmp_path, replace(TRAINED, size=(48, 64)))
    with pytest.raises(InputError, match="--mean: a gray network has one channel"):
        start_from_ncnn(*pair, tmp_path, replace(TRAINED, size=(48, 64), color="gray"))


@pytest.mark.parametrize("inputs", [0, 2])
def test_an_ncnn_network_without_one_image_is_refused(tmp_path: Path, inputs: int) -> None:
    layers = [f"Input in{k} 0 1 in{k}" for k in range(inputs)] or ["MemoryData m 0 1 m 0=4"]
    text = "\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers, ""])
    (tmp_path / "net.param").write_text(text)
    (tmp_path / "net.bin").write_bytes(bytes(16))
    with pytest.raises(InputError, match=f"expected one Input layer, got {inputs}") as caught:
        start_from_ncnn(tmp_path / "net.param", tmp_path / "net.bin", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_size_that_the_param_contradicts_is_refused(tmp_path: Path) -> None:
    param, weights = ncnn_pair(tmp_path, {"hm": (17, 4)})
    param.write_text(param.read_text().replace("0 1 data", "0 1 data 0=48 1=64 2=3"))
    assert start_from_ncnn(param, weights, tmp_path, TRAINED).size == (48, 64)
    with pytest.raises(InputError, match=r"--size 64 64 does not fit: .* 48 wide and 64 high"):
        start_from_ncnn(param, weights, tmp_path, replace(TRAINED, size=(64, 64)))
    param.write_text(param.read_text().replace("0=48 1=64 2=3", "0=3 1=48 2=64"))
    with pytest.raises(InputError, match="64x48x3, channels last"):
        start_from_ncnn(param, weights, tmp_path, TRAINED)


def test_a_network_with_nothing_to_quantize_is_called_so(tmp_path: Path) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.add("Pooling", "half", ("data",), ("heatmap",), {1: 2, 2: 2})
    files = write_pair(net.build(), tmp_path)
    start = start_from_ncnn(files.param, files.bin, tmp_path, replace(TRAINED, size=(48, 64)))
    assert "no layer of this network can be int8" in start.notes[0]


def test_a_size_that_the_weights_contradict_is_refused(tmp_path: Path) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("stem", "data", "stem", (3, 4), kernel=4, stride=4, p4=0)
    net.add("InnerProduct", "fc", ("stem",), ("heatmap",), {0: 34, 1: 1, 2: 34 * 256})
    files = write_pair(net.build(), tmp_path)
    answers = replace(TRAINED, size=(32, 32))
    start = start_from_ncnn(files.param, files.bin, tmp_path, answers)
    assert "no keypoints are read" in start.remark
    with pytest.raises(InputError, match=r"'fc' takes 256 values, its input has 1024: is the inp"):
        start_from_ncnn(files.param, files.bin, tmp_path, replace(answers, size=(64, 64)))


@pytest.mark.parametrize("name", ['a "b"', "a\\b", "\U0001f9cd", "tab\tbed", "Männer", "#", "'"])
def test_any_name_of_a_file_is_written_as_toml(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    image_net(folder / f"{name}.onnx", [1, 3, 64, 48], {name: (17, 4)})
    start = start_from_onnx(folder / f"{name}.onnx", tmp_path, TRAINED)
    (tmp_path / "quantkit.toml").write_text(start.text())
    project = load_project(tmp_path)
    assert project.name == name.replace("\\", "_")
    assert project.source.path.is_file()  # type: ignore[union-attr]
    assert project.source.outputs == (name,)  # type: ignore[union-attr]


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> MMPoseSpec:
    spec = replace(SPEC, keypoints=21)
    monkeypatch.setattr(starting, "describe", lambda name: spec)
    return spec


def test_an_mmpose_config_tells_everything(
    tmp_path: Path, hand: MMPoseSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = start_from_mmpose("hand", None, tmp_path)
    (note,) = start.notes
    assert note == (
        "eval compares with the labels of 17 COCO keypoints only: this network has 21;"
        " `eval --no-labels` and `sensitivity` work"
    )
    monkeypatch.setattr(starting, "describe", lambda name: replace(SPEC, dataset="AP10KDataset"))
    (note,) = start_from_mmpose("animal", None, tmp_path).notes
    assert "trained on AP10KDataset, whose 17 may be others" in note
    (tmp_path / "quantkit.toml").write_text(start.text())
    project = load_project(tmp_path)
    assert project.input == InputSpec(
        hand.size, hand.mean, hand.std, hand.color, hand.padding, hand.udp
    )
    assert (project.head.keypoints, project.head.decode) == (21, "dark")


@pytest.mark.parametrize("answers", [Answers(size=(64, 64)), Answers(color="rgb")])
def test_nothing_contradicts_an_mmpose_config(
    tmp_path: Path, hand: MMPoseSpec, answers: Any
) -> None:
    del hand
    with pytest.raises(InputError, match=r"does not fit|the mmpose config tells"):
        start_from_mmpose("hand", None, tmp_path, answers)


def test_a_package_that_a_config_needs_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "its network needs 'mmpretrain': pip install mmpretrain"
    monkeypatch.setattr(starting, "describe", lambda _: replace(SPEC, missing=missing))
    assert missing in start_from_mmpose("vit", None, tmp_path).notes


def test_what_is_odd_about_a_pair_is_said_at_once(tmp_path: Path) -> None:
    param, weights = ncnn_pair(tmp_path, {"heatmap": (17, 4)})
    given = replace(TRAINED, size=(48, 64))
    assert start_from_ncnn(param, weights, tmp_path, given).notes == ()
    text = param.read_text()
    param.write_text(text.replace("2 2", "2 5", 1))
    assert start_from_ncnn(param, weights, tmp_path, given).notes == (
        f"{param}: its header counts 5 blobs, its layers make 2",
    )
    param.write_text(text.replace("Convolution  ", "Deconvolution"))
    note = start_from_ncnn(param, weights, tmp_path, given).notes[0]
    assert note.startswith(f"{param}: no layer of this network can be int8: it has weights in 1 ")
