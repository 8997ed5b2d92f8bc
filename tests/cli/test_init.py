"""`quantkit init`: what it writes, asks and leaves open."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from quantkit.project import load_project
from tests.cli.command import Command


def test_init_writes_a_project_that_opens(
    quantkit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = quantkit.project.root / "model"
    monkeypatch.chdir(tmp_path)
    pair = (str(model / "net.param"), str(model / "net.bin"))
    code, _, err = quantkit("init", "--ncnn", *pair)
    assert code == 2
    assert "--size WIDTH HEIGHT" in err
    assert quantkit("init", "--ncnn", *pair, "--size", "48", "64")[0] == 0
    text = (tmp_path / "quantkit.toml").read_text()
    assert 'input = "data", outputs = ["heatmap"]' in text
    assert "size = [48, 64]" in text


def test_init_names_files_from_the_project_files_folder(
    quantkit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = quantkit.project.root / "model"
    monkeypatch.chdir(model)
    pair = ("net.param", str(model / "net.bin"))
    options = ("--size", "48", "64", "--folder", "../elsewhere")
    assert quantkit("init", "--ncnn", *pair, *options)[0] == 0
    text = (model.parent / "elsewhere" / "quantkit.toml").read_text()
    assert f'param = "../model/net.param", bin = "{model}/net.bin"' in text


def test_what_a_bare_network_leaves_open_stops_every_command(
    quantkit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = quantkit.project.root / "model"
    monkeypatch.chdir(tmp_path)
    pair = (str(model / "net.param"), str(model / "net.bin"), "--size", "48", "64")
    code, out, err = quantkit("init", "--ncnn", *pair)
    assert (code, out) == (0, "quantkit.toml\n")
    assert err.splitlines()[-1].startswith("fill in [input] mean, [input] std, [input] color")
    for command in (
        ("export",),
        ("select",),
        ("calibrate",),
        ("quantize", "kl"),
        ("sensitivity",),
        ("eval", "--all-backends"),
        ("report",),
    ):
        code, out, err = quantkit(*command)
        assert (code, out) == (2, ""), command
        assert len(err.splitlines()) == 1
        assert f"{tmp_path / 'quantkit.toml'}: [input] mean: fill in" in err
    told = ("--mean", "0", "0", "0", "--std", "255", "255", "255", "--color", "bgr")
    code, _, err = quantkit("init", "--ncnn", *pair, *told)
    assert code == 2
    assert "--overwrite" in err
    code, _, err = quantkit("init", "--ncnn", *pair, *told, "--overwrite")
    assert (code, err) == (0, "")
    spec = load_project(tmp_path).input
    assert (spec.mean, spec.std, spec.color) == ((0.0,) * 3, (255.0,) * 3, "bgr")


def test_init_asks_on_a_terminal(tmp_path: Path, quantkit: Command) -> None:
    model = quantkit.project.root / "model"
    net = [str(model / "net.param"), str(model / "net.bin"), "--size", "48", "64"]
    command = [sys.executable, "-m", "quantkit", "init", "--ncnn", *net, "--folder", str(tmp_path)]
    parent, child = pty.openpty()
    process = subprocess.Popen(
        command, stdin=child, stdout=subprocess.DEVNULL, stderr=child, start_new_session=True
    )
    os.close(child)
    # The default, three words that are no numbers, numbers, and a color.
    os.write(parent, b"\na b c\n1 2 3\nbgr\n")
    assert process.wait(60) == 0
    asked = os.read(parent, 65536).decode()
    os.close(parent)
    assert "as trained (ImageNet's, in rgb) [123.675 116.28 103.53]:" in asked
    assert "numbers" in asked
    spec = load_project(tmp_path).input
    assert (spec.mean, spec.std) == ((123.675, 116.28, 103.53), (1.0, 2.0, 3.0))
    assert spec.color == "bgr"
