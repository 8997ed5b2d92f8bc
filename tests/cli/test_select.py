"""`quantkit select`: choosing, proving and measuring, in this process, on a small project."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from quantkit.project import Project
from quantkit.project.choosing import set_path
from quantkit.project.exporting import network_at_hand
from quantkit.selection.manifest import (
    CalibrationSet,
    Refused,
    read_calibration_set,
    write_calibration_set,
)
from quantkit.stability.report import parse_curve, read_curve
from tests.cli.command import Command
from tests.projects import plant_outlier

CURVE = ("select", "--curve", "--seeds", "2", "--sizes", "2,4", "--held-out", "4")


@pytest.fixture
def chosen(quantkit: Command) -> CalibrationSet:
    options = ("--strategy", "first", "--count", "5", "--name", "mine", "--no-sheet")
    assert quantkit("select", *options)[0] == 0
    return read_calibration_set(set_path(quantkit.project, "mine"))


def sheet_of(project: Project, name: str) -> Path:
    return project.work_dir / "calib_sets" / f"{name}.png"


def rewrite(project: Project, chosen: CalibrationSet) -> None:
    write_calibration_set(chosen, set_path(project, chosen.name), overwrite=True)


def test_a_choice_is_drawn_unless_no_picture_is_asked_for(quantkit: Command) -> None:
    first = ("select", "--strategy", "first")
    code, out, err = quantkit(*first, "--count", "4")
    assert (code, out) == (0, "4 crops of 2 images: calib_sets/small-first-4-seed0.json\n")
    picture = sheet_of(quantkit.project, "small-first-4-seed0")
    assert cv2.imread(str(picture)) is not None
    assert "contact sheet: work_dirs/small/calib_sets/small-first-4-seed0.png" in err
    assert quantkit(*first, "--count", "3", "--no-sheet")[0] == 0
    assert [one.name for one in picture.parent.iterdir()] == [picture.name]


def test_the_json_of_a_choice_is_its_manifest(quantkit: Command) -> None:
    value = quantkit.json("select", "--strategy", "first", "--seed", "3", "--count", "2")
    assert (value["strategy"], value["seed"], len(value["entries"])) == ("first", 3, 2)
    manifest = quantkit.project.calib_sets_dir / "small-first-2-seed3.json"
    assert json.loads(manifest.read_text()) == value


def test_a_set_is_proven_and_not_drawn_again(quantkit: Command, chosen: CalibrationSet) -> None:
    value = quantkit.json("select", "--verify", "mine")
    assert (value["schema"], value["calibration_set"], value["ok"]) == (1, "mine", True)
    assert value["sha256"] == chosen.sha256
    names = ["images", "annotations", "pool", "network", "preprocess", "overlap", "replay"]
    assert [one["name"] for one in value["findings"]] == names
    code, out, _ = quantkit("select", "--verify", "mine")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "ok      replay       first with seed 0 chooses the same persons again",
        "calibration set mine: proven",
    ]
    assert not quantkit.project.work_dir.exists()


def test_a_proven_set_is_drawn_where_that_is_asked_for(
    quantkit: Command, chosen: CalibrationSet
) -> None:
    assert quantkit("select", "--verify", "mine", "--sheet")[0] == 0
    assert cv2.imread(str(sheet_of(quantkit.project, "mine"))) is not None


def test_a_tampered_image_is_named_and_fails_the_gate(
    quantkit: Command, chosen: CalibrationSet
) -> None:
    image = quantkit.project.calibration.images / "000002.png"
    image.write_bytes(image.read_bytes() + b"\0")
    code, out, err = quantkit("select", "--verify", "mine", "--sheet")
    assert code == 1
    (problem,) = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert "000002.png: is not the image that was selected" in problem
    assert err.splitlines()[-1] == "error: calibration set mine: 1 problem"
    assert not sheet_of(quantkit.project, "mine").exists()
    code, out, err = quantkit("select", "--verify", "mine", "--json")
    assert code == 1
    assert [one["name"] for one in json.loads(out)["findings"] if not one["passed"]] == ["images"]


def test_a_choice_that_the_seed_does_not_lead_to_fails_the_gate(
    quantkit: Command, chosen: CalibrationSet
) -> None:
    rewrite(quantkit.project, replace(chosen, strategy="random"))
    code, out, _ = quantkit("select", "--verify", "mine")
    assert code == 1
    assert "replay       random with seed 0 does not choose annotation" in out
    rewrite(quantkit.project, replace(chosen, strategy="by hand"))
    code, out, _ = quantkit("select", "--verify", "mine")
    assert code == 1
    assert "cannot be chosen again: there is no" in out


def test_the_network_of_a_choice_is_compared_with_the_present_one(
    quantkit: Command, chosen: CalibrationSet
) -> None:
    rewrite(quantkit.project, replace(chosen, model_sha256=network_at_hand(quantkit.project)))
    assert quantkit("select", "--verify", "mine")[0] == 0
    rewrite(quantkit.project, replace(chosen, model_sha256="0" * 64))
    code, out, _ = quantkit("select", "--verify", "mine")
    assert code == 1
    assert "FAILED  network      was 000000000000, is " in out
    model = quantkit.project.root / "model" / "net.bin"
    model.unlink()
    assert "was 000000000000, is not at hand" in quantkit("select", "--verify", "mine")[1]


def test_what_a_manifest_holds_cannot_steer_the_terminal(
    quantkit: Command, chosen: CalibrationSet
) -> None:
    bad = replace(chosen.entries[0], file_name="a\x1b[2J.png")
    rewrite(quantkit.project, replace(chosen, entries=(bad, *chosen.entries[1:])))
    code, out, _ = quantkit("select", "--verify", "mine")
    assert code == 1
    assert "\x1b" not in out
    assert r"a\x1b[2J.png" in out


def test_a_refused_outlier_is_drawn(quantkit: Command, chosen: CalibrationSet) -> None:
    assert quantkit("select", "--verify", "mine", "--sheet")[0] == 0
    before = sheet_of(quantkit.project, "mine").read_bytes()
    refused = Refused(40, "000004.png", "alone sets stem (x3.1)")
    rewrite(quantkit.project, replace(chosen, refused=(refused,)))
    assert quantkit("select", "--verify", "mine", "--sheet")[0] == 0
    assert sheet_of(quantkit.project, "mine").read_bytes() != before


@pytest.mark.slow
def test_a_curve_is_measured_drawn_and_printed(quantkit: Command) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = quantkit(*CURVE, "--threads", "1")
    assert code == 0, err
    folder = quantkit.project.work_dir
    report = read_curve(folder / "curve.json")
    assert (report.method, report.sizes, report.seeds) == ("kl", (2, 4), (0, 1))
    assert report.held_out == 3
    assert out.startswith("small: kl tables of 2 seeds a size\n")
    assert report.recommended.reason.split(".")[0] in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    assert cv2.imread(str(folder / "curve.png")) is not None
    assert "picture of the curve: work_dirs/small/curve.png" in err
    assert not report.outliers
    assert not list(folder.rglob("curve_outliers.png"))
    value = quantkit.json(*CURVE, "--threads", "1")
    assert parse_curve(value) == report
    assert json.loads((folder / "curve.json").read_text()) == value
    assert not quantkit.project.calib_sets_dir.exists()
    assert quantkit.json(*CURVE, "--method", "minmax")["method"] == "minmax"


@pytest.mark.slow
def test_a_curve_without_matplotlib_has_no_picture_but_its_outliers_and_says_what_it_needs(
    quantkit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlier = plant_outlier(quantkit.project)
    older = quantkit.project.work_dir / "curve.png"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"of another curve")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = quantkit(*CURVE)
    assert code == 0
    assert "small: kl tables of 2 seeds a size" in out
    needed = "without curve.png: A picture needs 'matplotlib': pip install 'quantkit[report]'"
    assert needed in err.splitlines()
    assert err.splitlines()[-1] == "outliers of the curve: work_dirs/small/curve_outliers.png"
    report = read_curve(quantkit.project.work_dir / "curve.json")
    assert [one["annotation_id"] for one in report.outliers] == [outlier]
    assert cv2.imread(str(quantkit.project.work_dir / "curve_outliers.png")) is not None
    assert not older.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--verify", "none"), "calib_sets/none.json: cannot be read"),
        (("--verify", "../mine"), "name of a file"),
        (("--verify", "mine", "--curve"), "--curve does not go with --verify"),
        (("--verify", "mine", "--strategy", "random"), "--strategy does not go with --verify"),
        (("--verify", "mine", "--overwrite"), "--overwrite does not go with --verify"),
        (("--curve", "--strategy", "random"), "--strategy does not go with --curve"),
        (("--curve", "--seed", "0"), "--seed does not go with --curve"),
        (("--curve", "--no-sheet"), "--sheet does not go with --curve"),
        (("--held-out", "8"), "--held-out goes with --curve only"),
        (("--method", "kl"), "--method goes with --curve or --strategy measured only"),
        (("--curve", "--sizes", "2,many"), "ascending numbers such as 8,16,32, got '2,many'"),
        (("--curve", "--sizes", ""), "ascending numbers such as 8,16,32, got ''"),
        (("--curve", "--sizes", "4,2"), "must ascend from at least 1, got 4, 2"),
        (("--curve", "--sizes", "0,2"), "must ascend from at least 1, got 0, 2"),
        (("--curve", "--sizes", "2,400"), "sets of 400 persons are asked for, but 8 are left"),
        (("--curve", "--seeds", "1"), "a curve needs at least 2 seeds"),
        (("--curve", "--held-out", "0"), "1 held-out person"),
        (("--curve", "--method", "best"), "there is no calibration method 'best'"),
        (("--strategy", "best"), "'best'; there are"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    quantkit: Command, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = quantkit("select", *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
    assert not quantkit.project.calib_sets_dir.exists()
    assert not (quantkit.project.root / "work_dirs").exists()


def test_a_damaged_manifest_cannot_be_proven(quantkit: Command, chosen: CalibrationSet) -> None:
    path = set_path(quantkit.project, "mine")
    path.write_text(path.read_text()[:-40])
    code, out, err = quantkit("select", "--verify", "mine")
    assert (code, out) == (2, "")
    assert "calib_sets/mine.json:" in err.splitlines()[-1]
