from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.evaluation.scoring import ScoreMode
from quantkit.model.mmlab import MMPoseSpec
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.project import config
from quantkit.project.config import checked_name, find_project, load_project

NCNN = 'ncnn = { param = "m.param", bin = "m.bin", input = "data", outputs = ["heat"] }'

PROJECT = f"""
[model]
name = "net"
{NCNN}
[input]
size = [192, 256]
mean = [1.0, 2.0, 3.0]
std = [4, 5, 6]
color = "rgb"
padding = 1.25
udp = false
[head]
type = "heatmap"
decode = "default"
[data.val]
annotations = "val.json"
images = "val"
[data.calibration]
annotations = "train.json"
images = "train"
"""

SPEC = MMPoseSpec(
    size=(48, 64),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    color="bgr",
    padding=1.5,
    udp=True,
    head="heatmap",
    decode="dark",
    simcc_split_ratio=3.0,
    blur_kernel_size=17,
    simcc_sigma=(4.9, 5.66),
    radius_factor=0.05,
    shift_heatmap=True,
    keypoints=17,
)


def project_with(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in PROJECT
    path = folder / "quantkit.toml"
    path.write_text(PROJECT.replace(old, new))
    return path


def test_paths_are_relative_to_the_project_file(tmp_path: Path) -> None:
    project = load_project(project_with(tmp_path))
    root = tmp_path.resolve()
    assert project.source == NcnnFiles(root / "m.param", root / "m.bin", "data", ("heat",))
    assert project.val.annotations == root / "val.json"
    assert project.calibration.images == root / "train"
    assert project.work_dir == root / "work_dirs" / "net"


def test_boxes_are_the_annotations_or_a_detectors(tmp_path: Path) -> None:
    labelled = load_project(project_with(tmp_path)).val
    assert (labelled.boxes, labelled.box_threshold, labelled.nms) == (None, 0.0, "none")
    detected = 'images = "val"\nboxes = "det/boxes.json"'
    val = load_project(project_with(tmp_path, 'images = "val"', detected)).val
    assert val.boxes == tmp_path.resolve() / "det" / "boxes.json"
    assert (val.box_threshold, val.nms) == (0.0, "oks_nms")
    chosen = f'{detected}\nbox_threshold = 0.3\nnms = "none"'
    val = load_project(project_with(tmp_path, 'images = "val"', chosen)).val
    assert (val.box_threshold, val.nms) == (0.3, "none")


def test_the_preprocess_and_the_head_are_read(tmp_path: Path) -> None:
    project = load_project(project_with(tmp_path))
    assert project.input.size == (192, 256)
    assert project.input.mean == (1.0, 2.0, 3.0)
    assert project.input.std == (4.0, 5.0, 6.0)
    assert (project.input.color, project.input.padding, project.input.udp) == ("rgb", 1.25, False)
    assert (project.head.type, project.head.decode) == ("heatmap", "default")


def test_the_flip_test_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = project_with(tmp_path)
    assert not load_project(path).head.flip_test
    assert load_project(path, flip_test=True).head.flip_test
    path = project_with(tmp_path, "[head]", "[head]\nflip_test = true\nshift_heatmap = true")
    head = load_project(path).head
    assert (head.flip_test, head.shift_heatmap) == (True, True)
    path = project_with(tmp_path, "[head]", "[head]\nflip_test = false")
    assert not load_project(path).head.flip_test
    assert load_project(path, flip_test=True).head.flip_test


def test_the_shift_of_the_flip_test_comes_from_the_mmpose_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def described(name: str) -> MMPoseSpec:
        asked.append(name)
        return SPEC

    monkeypatch.setattr(config, "describe", described)
    path = project_with(tmp_path, NCNN, 'mmpose = { config = "td-hm_x" }')
    assert not load_project(path).head.flip_test
    assert asked == []
    assert load_project(path, flip_test=True).head.shift_heatmap
    assert asked == ["td-hm_x"]
    path.write_text(path.read_text().replace("[head]", "[head]\nshift_heatmap = false"))
    assert not load_project(path, flip_test=True).head.shift_heatmap
    assert asked == ["td-hm_x"]


def test_a_simcc_head_and_combined_maps_are_read(tmp_path: Path) -> None:
    simcc = 'type = "simcc"\nsimcc_split_ratio = 1.5\nsimcc_sigma = [4.9, 5.66]'
    path = project_with(
        tmp_path, 'type = "heatmap"\ndecode = "default"', f'{simcc}\ndecode = "dark"'
    )
    head = load_project(path).head
    assert (head.type, head.decode, head.simcc_split_ratio) == ("simcc", "dark", 1.5)
    assert head.simcc_sigma == (4.9, 5.66)
    path = project_with(tmp_path, '"default"', '"udp_combined"\nradius_factor = 0.05')
    head = load_project(path).head
    assert (head.decode, head.radius_factor, head.maps) == ("udp_combined", 0.05, 51)


def test_a_gray_input_has_one_mean(tmp_path: Path) -> None:
    path = project_with(tmp_path, "[1.0, 2.0, 3.0]", "[1.0]")
    path.write_text(path.read_text().replace("[4, 5, 6]", "[4]").replace('"rgb"', '"gray"'))
    spec = load_project(path).input
    assert (spec.mean, spec.std, spec.shape) == ((1.0,), (4.0,), (1, 256, 192))


def test_the_number_of_keypoints_is_the_mmpose_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "describe", lambda name: replace(SPEC, keypoints=21))
    path = project_with(tmp_path, NCNN, 'mmpose = { config = "hand" }')
    path.write_text(path.read_text().replace("size = [192, 256]\n", ""))
    assert load_project(path).head.keypoints == 21
    path.write_text(path.read_text() + "[keypoints]\ncount = 21\n")
    assert load_project(path).head.keypoints == 21
    path.write_text(path.read_text().replace("count = 21", "count = 17"))
    with pytest.raises(InputError, match=r"\[keypoints\] count: is 17, but .* has 21"):
        load_project(path)


def test_how_persons_are_scored_can_be_chosen(tmp_path: Path) -> None:
    val = load_project(project_with(tmp_path)).val
    assert (val.score_mode, val.keypoint_threshold) == ("bbox_keypoint", 0.2)
    keys = 'images = "val"\nkeypoint_threshold = 0'
    assert load_project(project_with(tmp_path, 'images = "val"', keys)).val.keypoint_threshold == 0
    for mode in get_args(ScoreMode):
        keys = f'images = "val"\nscore_mode = "{mode}"'
        assert load_project(project_with(tmp_path, 'images = "val"', keys)).val.score_mode == mode


def test_a_folder_stands_for_its_project_file(tmp_path: Path) -> None:
    project_with(tmp_path)
    assert load_project(tmp_path).name == "net"


def test_an_onnx_and_an_mmpose_source_are_read(tmp_path: Path) -> None:
    onnx = project_with(
        tmp_path, NCNN, 'onnx = { file = "m.onnx", input = "x", outputs = ["a", "b"] }'
    )
    assert load_project(onnx).source == OnnxFile(tmp_path.resolve() / "m.onnx", "x", ("a", "b"))
    mmpose = project_with(tmp_path, NCNN, 'mmpose = { config = "td-hm_x", checkpoint = "c.pth" }')
    assert load_project(mmpose).source == MMPoseSource("td-hm_x", tmp_path.resolve() / "c.pth")
    newer = project_with(tmp_path, NCNN, 'mmpose = { config = "td-hm_x", opset = 17 }')
    assert load_project(newer).source == MMPoseSource("td-hm_x", None, opset=17)
    for wrong in ("9", "21", "13.5"):
        path = project_with(tmp_path, NCNN, f'mmpose = {{ config = "td-hm_x", opset = {wrong} }}')
        with pytest.raises(InputError, match=r"opset: expected a whole number from 11 to 20, got"):
            load_project(path)


def test_the_project_of_the_nearest_folder_above_is_found(tmp_path: Path) -> None:
    path = project_with(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b") == path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "net"', "", r"\[model\] name: is missing"),
        ('name = "net"', 'name = "../up"', r"\[model\] name: becomes the name of a folder"),
        (NCNN, "", "name one source of the network"),
        (NCNN, NCNN + '\nonnx = { file = "m.onnx" }', "name one source of the network"),
        ("[1.0, 2.0, 3.0]", '"?"', r"\[input\] mean: fill in .*--mean 123.675 116.28 103.53 --std"),
        ("[4, 5, 6]", '"?"', r"\[input\] std: fill in"),
        ('"rgb"', '"?"', r"\[input\] color: fill in"),
        ('type = "heatmap"', 'type = "?"', r"\[head\] type: fill in heatmap, simcc or none"),
        ('["heat"]', '"?"', r"\[model.ncnn\] outputs: fill in .*--output NAME"),
        ("mean = [1.0, 2.0, 3.0]\n", "", r"\[input\] mean: is missing: fill in what"),
        ('color = "rgb"\n', "", r"\[input\] color: is missing"),
        ('"rgb"', '"gray"', r"\[input\] std: expected a list of one number"),
        (', outputs = ["heat"]', "", r"\[model.ncnn\] outputs: is missing"),
        ('["heat"]', '"heat"', "expected a list of names"),
        ("[192, 256]", "[192]", "expected 2 numbers"),
        ("[192, 256]", "[192.5, 256]", "whole pixels"),
        ("[192, 256]", "[0, 256]", "whole pixels"),
        ("[4, 5, 6]", "[4, 0, 6]", "above 0"),
        ("[4, 5, 6]", "[4, nan, 6]", "expected 3 numbers"),
        ('color = "rgb"', 'color = "hsv"', "expected one of rgb, bgr, gray, got 'hsv'"),
        ('color = "rgb"', 'color = "rgb"\npad = 1', r"\[input\] pad: unknown key; the known ones"),
        ('type = "heatmap"', 'type = "regression"', "expected one of heatmap, simcc"),
        ('images = "val"', 'images = "val"\nbox_threshold = 0.3', "have no score"),
        ('images = "val"', 'images = "val"\nnms = "nms"', "one of none, oks_nms, soft_oks_nms"),
        (
            'images = "val"',
            'images = "val"\nscore_mode = "box"',
            "one of bbox_keypoint, bbox, ",
        ),
        (
            'images = "val"',
            'images = "val"\nscore_mode = "bbox"\nkeypoint_threshold = 0.3',
            "score mode 'bbox' has no threshold",
        ),
        ('images = "val"', 'images = "val"\nkeypoint_threshold = -0.1', "a number of at least 0"),
        ('images = "val"', 'images = "val"\nboxes = "b"\nbox_threshold = 0', "a number above 0"),
        ('"default"', '"default"\nflip_test = 1', r"\[head\] flip_test: expected true or false"),
        ('"default"', '"default"\nsimcc_sigma = [0.5, 6]', r"0\.8 bins is the least"),
        ('"default"', '"default"\nblur_kernel_size = 10', "expected an odd whole number, got 10"),
        (
            'type = "heatmap"\ndecode = "default"',
            'type = "simcc"\ndecode = "udp"',
            r"\[head\] decode: expected one of default, dark, got 'udp'",
        ),
        ('images = "train"', 'images = "train"\nboxes = "b.json"', "boxes: unknown key"),
        ('annotations = "train.json"', "", r"\[data.calibration\] annotations: is missing"),
        ("[head]", "[haed]", "is missing"),
        ("[model]", "[model", "is not TOML"),
        ("[model]", "model = 1\n[x]", "expected a table, got 1"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = project_with(tmp_path, old, new)
    with pytest.raises(InputError, match=message) as caught:
        load_project(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@given(st.text(max_size=300))
def test_no_text_gets_anything_but_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("project") / "quantkit.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError):
        load_project(path)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "/a", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="becomes the name of a file"):
        checked_name(name)


def test_a_config_file_is_the_projects_and_a_config_name_is_mmposes(tmp_path: Path) -> None:
    (tmp_path / "td-hm_x").mkdir()
    named = project_with(tmp_path, NCNN, 'mmpose = { config = "td-hm_x" }')
    assert load_project(named).source == MMPoseSource("td-hm_x", None)
    absent = project_with(tmp_path, NCNN, 'mmpose = { config = "a/b.py" }')
    assert load_project(absent).source == MMPoseSource(str(tmp_path.resolve() / "a/b.py"), None)


@pytest.mark.parametrize(
    ("old", "new", "udp", "decode"),
    [
        ("udp = false", "", True, "default"),
        ('decode = "default"', "", False, "dark"),
        ('decode = "default"', 'decode = "dark"', False, "dark"),
    ],
)
def test_what_is_left_out_comes_from_the_mmpose_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, udp: bool, decode: str
) -> None:
    monkeypatch.setattr(config, "describe", lambda name: SPEC)
    path = project_with(tmp_path, NCNN, 'mmpose = { config = "td-hm_x" }')
    path.write_text(path.read_text().replace(old, new))
    project = load_project(path)
    assert (project.input.size, project.input.udp) == ((192, 256), udp)
    assert (project.head.decode, project.head.blur_kernel_size) == (decode, 17)


def test_the_number_of_keypoints_is_read(tmp_path: Path) -> None:
    assert load_project(project_with(tmp_path)).head.keypoints == 17
    hands = project_with(tmp_path, "[data.val]", "[keypoints]\ncount = 21\n[data.val]")
    assert load_project(hands).head.keypoints == 21


def test_the_number_of_keypoints_is_whole(tmp_path: Path) -> None:
    path = project_with(tmp_path, "[data.val]", "[keypoints]\ncount = 2.5\n[data.val]")
    with pytest.raises(InputError, match=r"\[keypoints\] count: expected a whole number, got 2.5"):
        load_project(path)
