import importlib.util
import re
from pathlib import Path

import pytest

from quantkit.errors import InputError, Unavailable
from quantkit.model.mmlab.config import (
    config_files,
    find_config,
    import_custom_modules,
    load_config,
    missing_packages,
)
from quantkit.model.mmlab.network import build_pose_model
from quantkit.model.mmlab.spec import describe
from quantkit.model.source import MMPoseSource
from tests.mmpose_configs import HEATMAP, write_heatmap_config
from tests.oracles import mmpose_or_skip

pytestmark = pytest.mark.slow

HOURGLASS = "td-hm_hourglass52_8xb32-210e_coco-256x256"


@pytest.fixture(autouse=True, scope="module")
def _mmpose() -> None:
    mmpose_or_skip()


def test_a_shipped_config_is_found_by_its_name() -> None:
    assert find_config(HOURGLASS).name == f"{HOURGLASS}.py"
    assert load_config(HOURGLASS).model.backbone.type == "HourglassNet"


@pytest.mark.parametrize("name", ["td-hm_no-such-net", "../x", "*", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a file, and MMPose ships no config of that name"):
        find_config(name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.py: does not exist"):
        load_config(str(tmp_path / "gone.py"))


def test_code_in_a_base_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    (tmp_path / "base.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n{HEATMAP}")
    config = tmp_path / "config.py"
    config.write_text("_base_ = 'base.py'\n")
    with pytest.raises(InputError, match=r"base\.py:1: an mmpose config may hold data only"):
        load_config(str(config))
    assert not marker.exists()


def test_an_environment_variable_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTKIT_X", f"1; open({str(tmp_path / 'was_run')!r}, 'w')")
    config = tmp_path / "config.py"
    config.write_text("x = {{$QUANTKIT_X:1}}\n")
    with pytest.raises(InputError, match="substitutions"):
        load_config(str(config))
    assert not (tmp_path / "was_run").exists()


def test_bases_of_the_wheel_and_beside_the_file_are_merged(tmp_path: Path) -> None:
    write_heatmap_config(tmp_path, "tiny.py")
    config = tmp_path / "config.py"
    bases = "['tiny.py', 'mmpose::_base_/default_runtime.py']"
    config.write_text(f"_base_ = {bases}\nmodel = dict(head=dict(out_channels=5))\n")
    loaded = load_config(str(config))
    assert loaded.model.head.out_channels == 5
    assert loaded.model.head.in_channels == 64
    assert [path.name for path in config_files(str(config))] == [
        "config.py",
        "tiny.py",
        "default_runtime.py",
    ]


def test_a_cycle_of_bases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_ = 'b.py'\n")
    (tmp_path / "b.py").write_text("_base_ = 'a.py'\n")
    with pytest.raises(InputError, match="its _base_ files form a cycle"):
        load_config(str(tmp_path / "a.py"))


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_ = 'gone.py'\n")
    with pytest.raises(InputError, match=r"gone\.py: does not exist, but is a _base_ of a\.py"):
        load_config(str(tmp_path / "a.py"))


def test_a_config_that_fails_while_it_is_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1 // 0\n")
    with pytest.raises(InputError, match=r"a\.py: mmengine cannot load it: ZeroDivisionError"):
        load_config(str(tmp_path / "a.py"))


def test_imports_of_other_packages_are_refused(tmp_path: Path) -> None:
    path = write_heatmap_config(tmp_path)
    path.write_text(f"{HEATMAP}\nnames = dict(imports=['os'])\ncustom_imports = names\n")
    with pytest.raises(InputError, match="custom_imports may name modules of"):
        load_config(str(path))


def test_an_import_that_fails_is_named(tmp_path: Path) -> None:
    path = write_heatmap_config(tmp_path)
    path.write_text(f"{HEATMAP}\ncustom_imports = dict(imports=['quantkit.nowhere'])\n")
    with pytest.raises(InputError, match=r"custom_imports names 'quantkit\.nowhere'"):
        import_custom_modules(load_config(str(path)), str(path))


def test_the_spec_says_what_the_config_says(tmp_path: Path) -> None:
    spec = describe(str(write_heatmap_config(tmp_path)))
    assert spec.size == (64, 96)
    assert (spec.mean[0], spec.std[0]) == (123.675, 58.395)
    assert (spec.color, spec.padding, spec.udp) == ("rgb", 1.2, True)
    assert (spec.head, spec.decode, spec.keypoints) == ("heatmap", "default", 17)
    assert spec.outputs == ("heatmap",)
    assert spec.shift_heatmap


def test_a_codecs_numbers_are_read() -> None:
    rtmpose = describe("rtmpose-t_8xb256-420e_coco-256x192")
    assert rtmpose.simcc_sigma == (4.9, 5.66)
    assert not rtmpose.shift_heatmap
    regress = describe("td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192")
    assert regress.radius_factor == 0.0546875
    assert not regress.shift_heatmap


@pytest.mark.parametrize(
    ("name", "head", "decode", "udp"),
    [
        (HOURGLASS, "heatmap", "default", False),
        ("td-hm_res50_dark-8xb64-210e_coco-256x192", "heatmap", "dark", False),
        ("td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192", "heatmap", "udp", True),
        ("td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192", "heatmap", "udp_combined", True),
        ("rtmpose-t_8xb256-420e_coco-256x192", "simcc", "default", False),
    ],
)
def test_shipped_configs_are_described(name: str, head: str, decode: str, udp: bool) -> None:
    spec = describe(name)
    assert (spec.head, spec.decode, spec.udp, spec.keypoints) == (head, decode, udp, 17)
    assert spec.padding == 1.25


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("td-reg_res50_8xb64-210e_coco-256x192", "its head is a RegressionHead"),
        ("td-hm_mspn50_8xb32-210e_coco-256x192", "its decoder is a MegviiHeatmap"),
        ("yoloxpose_s_8xb32-300e_coco-640", "only TopdownPoseEstimator is supported"),
    ],
)
def test_heads_that_cannot_be_decoded_are_refused(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        describe(name)


def test_packages_that_are_missing_are_named_with_what_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    absent = ("mmpretrain", "mmcls", "mmyolo")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else find(name)
    )
    path = write_heatmap_config(tmp_path)
    assert missing_packages(load_config(str(path))) is None
    plain = path.read_text()
    for new, name, reason, pip in (
        ("type='mmpretrain.ResNet'", "mmpretrain", "type mmpretrain.ResNet", "mmpretrain"),
        ("type='mmcls.ResNet'", "mmcls", "type mmcls.ResNet", "'mmcls>=1.0.0rc6'"),
        ("_scope_='mmyolo', type='ResNet'", "mmyolo", "type ResNet", "mmyolo"),
    ):
        path.write_text(plain.replace("type='ResNet'", new))
        expected = f"its network needs '{name}' ({reason}): pip install {pip}"
        assert missing_packages(load_config(str(path))) == expected
        with pytest.raises(Unavailable, match=re.escape(f"{path}: {expected}")):
            build_pose_model(MMPoseSource(str(path), None))
    imports = "custom_imports = dict(imports=['mmpretrain.models'])"
    path.write_text(f"{plain}\n{imports}\n")
    expected = "its network needs 'mmpretrain' (custom_imports of mmpretrain.models): pip install "
    assert missing_packages(load_config(str(path))) == f"{expected}mmpretrain"
