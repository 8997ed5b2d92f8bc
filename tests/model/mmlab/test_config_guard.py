from pathlib import Path

import pytest

from quantkit.errors import InputError
from quantkit.model.mmlab.config_guard import check_config_file, check_imports, check_types

DATA = """
\"\"\"A config.\"\"\"
_base_ = ['../default.py', 'mmpose::_base_/datasets/coco.py']
codec = dict(type='MSRAHeatmap', input_size=(256, 256), sigma=2)
size = codec['input_size'][0] // 4 * -1 if True and not False else 0
channels = [2**0] and [8 * n for n in range(4)]
a, b = 1, [*channels, None]
codec['sigma'] = {'a': 1, **codec}
size += 3
rate = _base_.train_cfg.max_epochs
data = list(tuple(channels[1:]))
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.py"
    path.write_text(text)
    return path


def test_data_passes_and_its_bases_are_returned(tmp_path: Path) -> None:
    bases = check_config_file(write(tmp_path, DATA))
    assert bases == ("../default.py", "mmpose::_base_/datasets/coco.py")


@pytest.mark.parametrize(
    "text",
    ["_base_ = 'a.py'\n_base_ = 'b.py'\n", "_base_ = ['a.py']\nx = 1\n_base_ += ['b.py']\n"],
)
def test_no_base_hides_behind_a_later_one(tmp_path: Path, text: str) -> None:
    assert check_config_file(write(tmp_path, text)) == ("a.py", "b.py")


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import system",
        "x = __import__('os')",
        "x = eval('1')",
        "x = open('f', 'w')",
        "x = print",
        "x = dict.fromkeys([1])",
        "x = ().__class__.__bases__[0].__subclasses__()",
        "x = [c for c in ().__class__.__mro__]",
        "x = _base_.__class__",
        "x = _base_.pop('a')",
        "x = a.b",
        "x = lambda: 1",
        "x = f'{().__class__}'",
        "x = (y := 3)",
        "x = {n: n for n in range(3)}",
        "x = (n for n in range(3))",
        "dict = 3",
        "x = [dict for dict in [1]]",
        "__builtins__ = {}",
        "x = __builtins__",
        "x: int = 3",
        "def f(): pass",
        "class A: pass",
        "for n in range(3): x = n",
        "if True: x = 1",
        "with y: pass",
        "assert True",
        "del a",
        "x.y = 3",
        "range(3)",
        "x = undefined",
    ],
)
def test_code_is_refused_at_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"config\.py:3: an mmpose config may hold data only"):
        check_config_file(write(tmp_path, f"a = 1\n\n{line}\n"))


def test_a_base_that_is_computed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.py:2: "):
        check_config_file(write(tmp_path, "x = 'a.py'\n_base_ = x\n"))


@pytest.mark.parametrize("line", ["x = '{{$HOME:1}}'", "x = {{_base_.y}}", "# {{ fileDirname }}"])
def test_text_that_mmengine_would_replace_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"config\.py:2: .*substitutions"):
        check_config_file(write(tmp_path, f"a = 1\n{line}\n"))


@pytest.mark.parametrize("text", ["x = (", "x = 1\n  y = 2", "x = '\0'", "(" * 500])
def test_a_text_that_is_no_python_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not a Python config"):
        check_config_file(write(tmp_path, text))


@pytest.mark.parametrize(
    "kind", ["os.system", "subprocess.Popen", "mmengine.dump", "mmengine.x.Y", "this", "", 3]
)
def test_a_type_that_names_no_class_is_refused(kind: object) -> None:
    with pytest.raises(InputError, match=r"^c\.py: type="):
        check_types({"head": [{"decoder": ({"type": kind},)}]}, "c.py")


@pytest.mark.parametrize("kind", ["HourglassNet", "mmpose.ResNet", "mmpretrain.VisionTransformer"])
def test_a_type_that_names_a_class_passes(kind: str) -> None:
    check_types({"backbone": {"type": kind}}, "c.py")


@pytest.mark.parametrize("modules", [["os"], "subprocess", ["mmpose", "evil.mmpose"], 3, [3]])
def test_imports_of_other_packages_are_refused(modules: object) -> None:
    with pytest.raises(InputError, match=r"^c\.py: custom_imports"):
        check_imports(modules, "c.py")
