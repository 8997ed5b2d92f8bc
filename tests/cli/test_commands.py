"""The commands end to end on a small real network, in this process."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends import BACKENDS, BackendName, Runner, open_runner
from quantkit.backends.artifact import Artifact
from quantkit.calibration.table import read_table
from quantkit.data.normalise import Normalisation
from quantkit.errors import BackendDied
from quantkit.project import Project, measuring
from tests.cli.command import Command
from tests.projects import small_project


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return small_project(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def quantkit_shared(
    shared_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(shared_project.root)
    monkeypatch.setattr(sys, "argv", [])
    return Command(shared_project, capsys)


def test_eval_alone_calibrates_and_compares(quantkit: Command) -> None:
    value = quantkit.json("eval", "--backend", "ncnn", "--backend", "ncnn-int8", "--threads", "1")
    fp32, int8 = value["rows"]
    assert value["baseline"] == "ncnn"
    assert (fp32["status"], fp32["ap"], fp32["ap_drop"]) == ("ok", pytest.approx(1), 0)
    assert 0 < int8["ap"] < 1
    assert int8["ap_drop"] == pytest.approx(1 - int8["ap"])
    low, high = int8["ap_drop_ci"]
    assert 0 < low < high <= 1
    assert 0 < int8["oks_vs_baseline"] < 1
    assert int8["size_mb"] < fp32["size_mb"]
    assert min(int8["ms_per_instance"], fp32["ms_per_instance"]) > 0
    folder = quantkit.project.work_dir / "eval"
    assert json.loads((folder / "eval.json").read_text()) == value
    assert "## ncnn-int8" in (folder / "eval.md").read_text()
    assert (folder / "eval.csv").read_text().count("\n") == 3
    assert "(AP) @[ IoU=0.50:0.95" in (folder / "ncnn-int8.log").read_text()


def test_all_backends_say_why_they_cannot_run(quantkit_shared: Command) -> None:
    value = quantkit_shared.json("eval", "--all-backends")
    status = {row["backend"]: row["status"] for row in value["rows"]}
    assert list(status) == list(BACKENDS)
    assert {name for name, one in status.items() if one == "ok"} == {"ncnn", "ncnn-int8"}
    assert "an ncnn pair" in value["rows"][0]["reason"]
    code, out, _ = quantkit_shared("eval", "--all-backends")
    assert code == 0
    said = " ".join(out.split())
    assert "openvino-int8 are unavailable: the model is given as an ncnn pair" in said


def test_a_backend_asked_for_by_name_that_cannot_run_is_exit_code_3(
    quantkit_shared: Command,
) -> None:
    code, _, err = quantkit_shared("eval", "--backend", "onnxruntime", "--backend", "ncnn")
    assert code == 3
    assert err.splitlines()[-1].startswith("error: onnxruntime: the model is given as an ncnn pair")


def test_a_backend_that_dies_is_exit_code_4_though_the_others_are_shown(
    quantkit_shared: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(
        name: BackendName, artifact: Artifact, *, threads: int, normalisation: Normalisation
    ) -> Runner:
        if name == "ncnn-int8":
            message = "backend 'ncnn-int8' died: SIGSEGV"
            raise BackendDied(message)
        return open_runner(name, artifact, threads=threads, normalisation=normalisation)

    monkeypatch.setattr(measuring, "open_runner", opened)
    code, out, err = quantkit_shared("eval", "--all-backends", "--max-drop", "0.5")
    assert code == 4
    assert "ncnn-int8 is crashed" in out
    assert err.splitlines()[-1] == "error: ncnn-int8: backend 'ncnn-int8' died: SIGSEGV"


def test_the_gate_fails_with_exit_code_1(quantkit_shared: Command) -> None:
    names = ("--backend", "ncnn", "--backend", "ncnn-int8")
    code, out, err = quantkit_shared("eval", *names, "--max-drop", "0.0001")
    assert code == 1
    assert "ncnn-int8" in out
    assert "error: AP drop over 0.0001: ncnn-int8 +0." in err
    assert quantkit_shared("eval", *names, "--max-drop", "1")[0] == 0


def test_the_gate_passes_no_row_that_was_not_measured(quantkit_shared: Command) -> None:
    """A baseline alone, a row that is named, and int8 in none of all the rows."""
    gate = ("--max-drop", "1")
    code, _, err = quantkit_shared("eval", "--backend", "ncnn", *gate)
    assert (code, err.splitlines()[-1]) == (
        1,
        "error: the drop is not known: nothing was measured but the baseline",
    )
    names = ("--backend", "ncnn", "--backend", "ncnn-int8", "--backend", "onnxruntime")
    code, _, err = quantkit_shared("eval", *names, *gate)
    assert code == 1
    assert "not every row was measured (onnxruntime: the model is given as an ncnn pair" in err
    code, _, err = quantkit_shared("eval", "--all-backends", "--baseline", "ncnn-int8", *gate)
    assert code == 1
    assert "no int8 row was measured (onnxruntime-int8, openvino-int8: the model is given" in err
    assert quantkit_shared("eval", "--all-backends", *gate)[0] == 0
    assert quantkit_shared("eval", "--backend", "ncnn", "--until", "1")[0] == 1


def test_eval_tells_the_keypoints_apart(quantkit_shared: Command) -> None:
    names = ("--backend", "ncnn", "--backend", "ncnn-int8")
    fp32, int8 = quantkit_shared.json("eval", *names)["rows"]
    assert min(fp32["keypoint_oks"].values()) == pytest.approx(1)
    assert int8["oks_drop"] == pytest.approx(1 - int8["oks"])
    # The labels are the baseline's own keypoints.
    assert int8["keypoint_oks"] == pytest.approx(int8["keypoint_oks_vs_baseline"])
    assert min(int8["keypoint_oks"].values()) < int8["oks"] < max(int8["keypoint_oks"].values())


def test_boxes_without_keypoints_are_enough_for_the_agreement(quantkit: Command) -> None:
    names = ("--backend", "ncnn", "--backend", "ncnn-int8")
    expected = quantkit.json("eval", *names)["rows"][1]["oks_vs_baseline"]
    path = quantkit.project.val.annotations
    document = json.loads(path.read_text())
    for one in document["annotations"]:
        del one["keypoints"], one["num_keypoints"]
    path.write_text(json.dumps(document))
    code, _, err = quantkit("eval", *names)
    assert code == 2
    assert "'keypoints' is missing" in err
    value = quantkit.json("eval", *names, "--no-labels")
    assert value["instances"] == 12
    fp32, int8 = value["rows"]
    assert (fp32["ap"], int8["ap"], int8["ap_drop"]) == (None, None, None)
    assert int8["oks_vs_baseline"] == pytest.approx(expected, abs=1e-9)
    assert int8["ms_per_instance"] > 0
    code, out, _ = quantkit("eval", *names, "--no-labels")
    assert code == 0
    assert "OKS" in out
    assert "AP50" not in out


def test_a_detectors_boxes_are_shown_and_scored(quantkit: Command) -> None:
    root = quantkit.project.root
    document = json.loads(quantkit.project.val.annotations.read_text())
    found = [
        {**{key: one[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for one in document["annotations"]
    ]
    weak = [{**one, "bbox": [60, 50, 40, 50], "score": 0.2} for one in found[::2]]
    (root / "boxes.json").write_text(json.dumps(weak + found))
    text = (root / "quantkit.toml").read_text()

    def shown(keys: str) -> Any:
        changed = text.replace('images = "val"', f'images = "val"\nboxes = "boxes.json"\n{keys}')
        (root / "quantkit.toml").write_text(changed)
        return quantkit.json("eval", "--backend", "ncnn")

    value = shown("box_threshold = 0.5")
    assert (value["boxes"], value["nms"], value["instances"]) == ("boxes.json", "oks_nms", 12)
    assert value["rows"][0]["ap"] == pytest.approx(1)
    assert value["rows"][0]["keypoint_oks"] is None
    everything = shown("")
    assert everything["instances"] == 18
    log = (quantkit.project.work_dir / "eval" / "ncnn.log").read_text()
    assert "18 persons of val.json, boxes of boxes.json, oks_nms" in log
    (root / "boxes.json").write_text(json.dumps(found[2:]))
    assert 0.5 < shown("")["rows"][0]["ap"] < 0.95


def test_the_flip_test_is_asked_for_and_kept_apart(quantkit: Command) -> None:
    text = (quantkit.project.root / "quantkit.toml").read_text()
    off = quantkit.json("eval", "--backend", "ncnn")
    on = quantkit.json("eval", "--backend", "ncnn", "--flip-test")
    assert (off["flip_test"], on["flip_test"]) == (False, True)
    # The labels are the network's own keypoints without the flip test.
    assert (off["rows"][0]["ap"], on["rows"][0]["ap"] < 0.999) == (pytest.approx(1), True)
    assert quantkit.json("eval", "--backend", "ncnn")["rows"][0]["ap"] == off["rows"][0]["ap"]
    asked = text.replace("[head]", "[head]\nflip_test = true")
    (quantkit.project.root / "quantkit.toml").write_text(asked)
    code, out, err = quantkit("eval", "--backend", "ncnn")
    assert code == 0, err
    assert "flip test on" in " ".join(out.split())


def test_how_persons_are_scored_is_the_projects(quantkit: Command) -> None:
    path = quantkit.project.root / "quantkit.toml"
    keys = 'images = "val"\nscore_mode = "bbox"'
    path.write_text(path.read_text().replace('images = "val"', keys))
    value = quantkit.json("eval", "--backend", "ncnn")
    assert value["score_mode"] == "bbox"
    log = (quantkit.project.work_dir / "eval" / "ncnn.log").read_text()
    assert "12 persons of val.json, score mode bbox, flip test off" in log


@pytest.mark.slow
def test_until_stops_when_the_drop_is_decided_and_a_full_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = small_project(tmp_path / "project", images=80)
    monkeypatch.chdir(project.root)
    quantkit = Command(project, capsys)
    names = ("--backend", "ncnn", "--backend", "ncnn-int8", "--threads", "1")
    value = quantkit.json("eval", *names, "--until", "0.001")
    assert value["until"] == {"bound": 0.001, "images": 64, "of": 80}
    assert value["instances"] == 128
    assert [row["within"] for row in value["rows"]] == [True, False]
    assert value["rows"][1]["ap_drop_ci"][0] > 0.001
    code, out, _ = quantkit("eval", *names, "--until", "1")
    assert code == 0
    assert "drop of at most 1 AP, after 64 of 80 images: ncnn-int8 within" in out
    code, _, err = quantkit("eval", *names)
    assert code == 0
    assert "ncnn-int8: goes on after 128 of 160 persons" in err
    drop = quantkit.json("eval", *names)["rows"][1]["ap_drop"]
    undecided = quantkit.json("eval", *names, "--until", str(drop))
    assert undecided["until"]["images"] == 80
    assert undecided["rows"][1]["within"] is None


def test_an_unreadable_image_ends_the_evaluation(quantkit: Command) -> None:
    (quantkit.project.root / "val" / "001003.png").write_bytes(b"")
    code, out, err = quantkit("eval", "--backend", "ncnn")
    assert (code, out) == (2, "")
    assert "001003.png: is not an image" in err.splitlines()[-1]
    assert not (quantkit.project.work_dir / "eval" / "eval.json").exists()


def test_calibrate_writes_a_table_that_eval_reuses(quantkit: Command) -> None:
    value = quantkit.json("calibrate", "--count", "8", "--method", "minmax")
    table = read_table(Path(value["table"]))
    assert value["int8_layers"] == len(table.layers) > 5
    origin = json.loads(Path(value["table"]).with_suffix(".json").read_text())
    assert origin["method"] == "minmax"
    name = "small-measured-minmax-8-seed0"
    assert origin["calibration_set"] == value["calibration_set"] == name
    manifest = quantkit.project.calib_sets_dir / f"{name}.json"
    assert len(json.loads(manifest.read_text())["entries"]) == 8
    before = Path(value["table"]).read_bytes()
    code, _, err = quantkit("calibrate", "--count", "8", "--method", "minmax")
    assert code == 0
    assert "nothing changed, table reused" in err
    assert Path(value["table"]).read_bytes() == before


def test_calibrate_alone_takes_the_best_recipe_and_says_what_each_step_did(
    quantkit: Command,
) -> None:
    code, out, err = quantkit("calibrate", "--count", "8", "--learning", "20")
    assert code == 0
    assert "best.table" in out
    assert "its network tables/small/best.param" in out
    assert re.search(r"calibration: thresholds by the outputs: [\d.]+ -> [\d.]+ dB", err)
    value = quantkit.json("calibrate", "--count", "8", "--learning", "20")
    assert value["steps"][-1]["name"] == "learning from the fp32 outputs"
    rows = quantkit.json("eval", "--backend", "ncnn-int8", "--table", "best")["rows"]
    assert rows[0]["status"] == "ok"


def test_steps_can_be_left_out_one_by_one(quantkit: Command) -> None:
    left_out = ("--no-equalize", "--no-search", "--no-rounding", "--no-bias", "--learning", "0")
    value = quantkit.json("calibrate", "--count", "8", *left_out)
    assert len(value["steps"]) == 1


def test_another_table_is_not_overwritten_by_accident(quantkit: Command) -> None:
    first = quantkit.json("calibrate", "--fast", "--count", "8")
    before = Path(first["table"]).read_bytes()
    code, _, err = quantkit("calibrate", "--fast", "--count", "3")
    assert code == 2
    assert "--overwrite" in err
    assert Path(first["table"]).read_bytes() == before
    assert quantkit("calibrate", "--fast", "--count", "3", "--overwrite")[0] == 0
    assert Path(first["table"]).read_bytes() != before


def test_select_then_calibrate_on_that_set(quantkit: Command) -> None:
    code, out, _ = quantkit("select", "--strategy", "first", "--count", "5", "--name", "mine")
    assert code == 0
    assert out.startswith("5 crops of 3 images: ")
    value = quantkit.json("calibrate", "--fast", "--calib-set", "mine")
    assert value["calibration_set"] == "mine"


def test_quantize_takes_a_table_from_elsewhere(quantkit: Command, tmp_path: Path) -> None:
    value = quantkit.json("calibrate", "--fast", "--count", "8")
    table = read_table(Path(value["table"]))
    (tmp_path / "mixed.table").write_text(table.without(["stem", "head"]).text())
    written = quantkit.json("quantize", str(tmp_path / "mixed.table"))
    assert set(written["int8_layers"]) == set(table.layers) - {"stem", "head"}
    # Another table of this name may lie elsewhere: its content is in the name of what it makes.
    assert re.fullmatch("mixed-[0-9a-f]{12}-int8.param", Path(written["param"]).name)


def test_sensitivity_ranks_every_layer_and_resumes(quantkit: Command) -> None:
    value = quantkit.json("sensitivity", "--crops", "4")
    layers = value["layers"]
    ranking = [layer["peak_noise_db"] for layer in layers]
    assert ranking == sorted(ranking)
    assert {"stem", "residual", "head", "excite"} <= {layer["name"] for layer in layers}
    assert sum(layer["macs_share"] for layer in layers) == pytest.approx(1, abs=1e-4)
    assert value["all_int8_sqnr_db"] <= min(layer["sqnr_db"] for layer in layers) + 3

    journal = quantkit.project.work_dir / "sensitivity.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    assert quantkit.json("sensitivity", "--crops", "4") == value
    assert len(journal.read_bytes().splitlines()) == len(lines) + 1


def test_sensitivity_says_beforehand_what_it_costs_and_keeps_to_its_budget(
    quantkit: Command,
) -> None:
    code, out, err = quantkit("sensitivity", "--budget", "3s", "--crops", "8", "--ap-crops", "12")
    assert code == 0, err
    assert re.search(r"\d+ runs from a layer on, about \d+ s", err)
    assert "all layers but one in int8" in err
    assert "layers, worst first" in out
    assert max(map(len, out.splitlines())) <= 100
    _, _, again = quantkit("sensitivity", "--budget", "3s", "--crops", "8", "--ap-crops", "12")
    assert "goes on as planned" in again


def test_sensitivity_tells_what_to_do_about_the_worst(quantkit: Command) -> None:
    value = quantkit.json("sensitivity", "--crops", "4", "--ap-crops", "8", "--ap-layers", "3")
    advised = [layer for layer in value["layers"] if layer["advice"]]
    assert len(advised) == 3
    assert value["ap_crops"] == 8
    for layer in advised:
        assert layer["ap_drop_ci"][0] <= layer["ap_drop_ci"][1]
        assert layer["without"]["oks_drop"] is not None
        assert all(one["sentence"] and one["remedy"] for one in layer["advice"])


def test_a_calibration_set_with_evaluation_images_is_refused(quantkit: Command) -> None:
    train = quantkit.project.root / "train"
    val = quantkit.project.root / "val"
    (train / "000002.png").write_bytes((val / "001003.png").read_bytes())
    code, _, err = quantkit("calibrate", "--method", "kl", "--select", "first", "--count", "12")
    assert code == 2
    assert "000002.png" in err.splitlines()[-1]
    assert "evaluation" in err.splitlines()[-1]
    assert not quantkit.project.calib_sets_dir.exists()
    assert not quantkit.project.tables_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval",), "give either --all-backends or --backend NAME"),
        (("eval", "--backend", "caffe"), "there is no backend 'caffe'; there are pytorch"),
        (("eval", "--backend", "ncnn-int8", "--table", "none"), "there is no such table"),
        (("eval", "--backend", "ncnn", "--no-labels", "--until", "1"), "does not measure"),
        (("calibrate", "--method", "entropy"), "there is no calibration method 'entropy'"),
        (("calibrate", "--select", "best"), "there is no strategy 'best'"),
        (("calibrate", "--count", "500"), "500 persons are asked for, but there are 12"),
        (("calibrate", "--calib-set", "none"), "none.json: cannot be read"),
        (("quantize", "absent.table"), "absent.table: there is no such table"),
        (("sensitivity", "--project", "nowhere"), "cannot be read"),
        (
            ("sensitivity", "--budget", "soon"),
            "invalid --budget 'soon': expected 30s, 5m or 1h",
        ),
        (("init",), "give one of --mmpose, --onnx, --ncnn or --demo"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    quantkit_shared: Command, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = quantkit_shared(*arguments)
    assert code == 2
    assert out == ""
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")


def test_what_a_bad_file_holds_cannot_steer_the_terminal(
    quantkit_shared: Command, tmp_path: Path
) -> None:
    (tmp_path / "bad.table").write_text("conv \x1b[2J\x07\n")
    code, _, err = quantkit_shared("quantize", str(tmp_path / "bad.table"))
    assert code == 2
    assert r"bad.table:1: layer 'conv': scale 0 is '\x1b[2J\x07', which is not a number" in err
    assert "\x1b" not in err
    assert "\x07" not in err


def test_doctor_names_every_backend(quantkit_shared: Command) -> None:
    value = quantkit_shared.json("doctor")
    assert value["backends"]["ncnn"] == {"status": "ok", "reason": None}
    assert value["packages"]["numpy"] == np.__version__
    code, out, _ = quantkit_shared("doctor")
    assert code == 0
    for name, one in value["backends"].items():
        assert name in out
        assert one["reason"] is None or one["reason"].split(": ")[-1] in out


def test_a_stopped_command_says_that_it_goes_on(
    quantkit_shared: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *, flip_test: bool) -> Project:
        raise KeyboardInterrupt

    monkeypatch.setattr("quantkit.project.load_project", interrupted)
    code, out, err = quantkit_shared("select")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "stopped: the same command goes on where it was"


def test_the_demo_is_not_written_into_another_project(
    quantkit_shared: Command, tmp_path: Path
) -> None:
    (tmp_path / "quantkit.toml").write_text("[model]\n")
    code, _, err = quantkit_shared("init", "--demo", "--folder", str(tmp_path))
    assert code == 2
    assert "quantkit.toml: exists with other content" in err
    assert [path.name for path in tmp_path.iterdir()] == ["quantkit.toml"]


def test_the_demo_is_not_rendered_over_data_of_others(
    quantkit_shared: Command, tmp_path: Path
) -> None:
    mine = tmp_path / "data" / "annotations" / "person_keypoints_val.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    code, _, err = quantkit_shared("init", "--demo", "--folder", str(tmp_path))
    assert code == 2
    assert f"{tmp_path}/data: is not the demo's data" in err
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_version_is_printed(quantkit_shared: Command) -> None:
    code, out, _ = quantkit_shared("--version")
    assert (code, out.split()[0]) == (0, "quantkit")
