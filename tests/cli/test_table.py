"""`quantkit table` in this process, with a project, with a pair of files, and with neither."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.provenance import LayerRange, Provenance
from quantkit.calibration.table import CalibrationTable
from quantkit.cli import main
from quantkit.model.eligibility import int8_layers
from quantkit.storage import sha256_file
from tests.nets import crop, small_network
from tests.projects import small_project
from tests.quantization.agreement import simple_table

NETWORK = small_network(np.random.default_rng(0))


def quantkit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    sys.argv = ["quantkit", "table", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return (ended.value.code if isinstance(ended.value.code, int) else 0), *printed


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CalibrationTable:
    """A sound table in `t.table` of the current folder, with its project in `project`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    small_project(tmp_path / "project", images=1)
    layers = [layer.name for layer in int8_layers(NETWORK)]
    found = simple_table(NETWORK, crop(np.random.default_rng(1)), layers)
    scales = {**found.activation_scales, "right": found.activation_scales["left"]}
    sound = CalibrationTable(found.weight_scales, scales)
    Path("t.table").write_text(sound.text())
    return sound


def test_a_sound_table_passes(table: CalibrationTable, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = quantkit(capsys, "check", "t.table", "--project", "project")
    assert (code, out) == (0, "0 errors, 0 warnings, 0 hints (small)\n")


def test_a_bad_table_fails_the_gate_with_a_line_for_each_problem(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    text = table.text().replace("\nhead ", "\nhaed ").replace("\nneck ", "\n\nneck ")
    Path("t.table").write_text(text)
    files = ("--param", "project/model/net.param")
    code, out, err = quantkit(capsys, "check", "t.table", *files)
    assert code == 1
    assert err == "error: t.table: 2 errors\n"
    lines = out.splitlines()
    assert lines[0].startswith("t.table:10: warning: layer 'head': stays in fp32, as it has no")
    assert lines[1].startswith("t.table:17: error: blank line: ncnn2int8 stops reading here")
    assert lines[2].startswith("t.table:21: error: layer 'haed': its activation line is of")
    assert lines[3].startswith("2 errors, 1 warning, 0 hints (net.param; with --size")
    code, out, _ = quantkit(capsys, "check", "t.table", *files, "--size", "48", "64", "--json")
    assert code == 1
    value = json.loads(out)
    assert value["counts"] == {"error": 2, "warning": 1, "hint": 0}
    assert [finding["line"] for finding in value["findings"]] == [10, 17, 21]


def test_without_a_project_only_the_lines_are_checked(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantkit(capsys, "check", "t.table")[0] == 0
    Path("t.table").write_bytes(b"\xff\xfe 1.0\n")
    code, out, _ = quantkit(capsys, "check", "t.table")
    assert code == 1
    assert "has bytes that are not UTF-8 text" in out
    assert out.endswith("(no model: only the lines were checked)\n")
    assert quantkit(capsys, "check", "other.table")[0] == 2
    assert quantkit(capsys, "check", "t.table", "--bin", "net.bin")[0] == 2


def test_a_table_is_shown_with_what_stays_in_fp32(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.table").write_text(table.without(["neck"]).text())
    code, out, _ = quantkit(capsys, "show", "t.table", "--project", "project")
    assert code == 0
    assert "fp32  neck: it is not in the table" in out
    assert "9 layers in int8, 1 in fp32" in out
    value = json.loads(quantkit(capsys, "show", "t.table", "--project", "project", "--json")[1])
    stem = value["layers"][0]
    assert (stem["layer"], stem["type"], stem["levels"]) == ("stem", "Convolution", [127, 127])
    assert stem["threshold"] == pytest.approx(127 / table.activation_scales["stem"], rel=1e-4)


def test_two_tables_are_compared(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    scales = {**table.activation_scales, "stem": 2 * table.activation_scales["stem"]}
    other = CalibrationTable(table.weight_scales, scales).without(["head"])
    Path("o.table").write_text(other.text())
    code, out, _ = quantkit(capsys, "diff", "t.table", "o.table")
    assert code == 0
    assert "only in t: head" in out
    assert "8 layers are the same in both" in out
    value = json.loads(quantkit(capsys, "diff", "t.table", "o.table", "--json")[1])
    assert value["only_first"] == ["head"]
    assert [(x["layer"], x["ratio"]) for x in value["changes"]] == [
        ("stem", pytest.approx(2, rel=1e-5))
    ]


def origin(model: str, layers: Mapping[str, LayerRange] | None = None) -> Provenance:
    digest = sha256_file(Path("t.table"))
    return Provenance(
        table_sha256=digest,
        model_sha256=model,
        network_sha256=model,
        compat=False,
        recipe=None,
        steps=(),
        calibration_set="set",
        calibration_set_sha256="",
        method="kl",
        keep_hazards=False,
        preprocess={},
        versions={},
        layers=layers or {},
        left_out={},
        notes={},
    )


def test_a_table_of_another_network_or_of_other_content_is_named(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ("check", "t.table", "--project", "project")
    Path("t.json").write_text(origin(NETWORK.sha256).text())
    assert quantkit(capsys, *check)[0] == 0
    Path("t.json").write_text(origin("another").text())
    code, out, _ = quantkit(capsys, *check)
    assert code == 1
    assert "t.table: error: was made for another network than small, says t.json" in out
    own = origin(NETWORK.sha256).text()
    Path("t.table").write_text("# changed\n" + table.text())
    assert quantkit(capsys, *check)[0] == 1
    Path("t.json").write_text(own)
    code, out, _ = quantkit(capsys, *check)
    assert code == 0
    assert "t.table: warning: is not the table that t.json describes" in out


def test_thresholds_are_compared_with_a_few_crops_or_with_the_json(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    scales = {**table.activation_scales, "head": table.activation_scales["head"] / 127}
    Path("t.table").write_text(CalibrationTable(table.weight_scales, scales).text())
    check = ("check", "t.table", "--project", "project")
    code, out, _ = quantkit(capsys, *check)
    assert code == 1
    assert "error: layer 'head': its threshold" in out
    assert "in 2 crops" in out
    assert quantkit(capsys, *check, "--crops", "0")[0] == 0
    code, _, err = quantkit(capsys, "check", "t.table", "--crops", "2")
    assert (code, err.count("\n")) == (2, 1)

    shutil.rmtree("project/train")
    code, _, err = quantkit(capsys, *check)
    assert code == 0
    assert "thresholds were not compared with crops: " in err
    assert quantkit(capsys, *check, "--crops", "2")[0] == 2

    read = LayerRange(
        "joined",
        absmax=3.0,
        minimum=0,
        maximum=3,
        threshold=None,
        scale=None,
        count=1,
        zero_fraction=0,
    )
    Path("t.json").write_text(origin(NETWORK.sha256, {"head": read}).text())
    code, out, _ = quantkit(capsys, *check)
    assert code == 1
    assert "times the largest value 3 in t.json" in out
    assert f"put {127 / 3:.6f} there" in out


def test_a_table_of_the_project_goes_by_its_name(
    table: CalibrationTable, capsys: pytest.CaptureFixture[str]
) -> None:
    named = Path("project/tables/small/mine.table")
    named.parent.mkdir(parents=True)
    named.write_text(table.text())
    project = ("--project", "project")
    for command in (("check", "mine"), ("show", "mine"), ("diff", "mine", "t.table")):
        assert quantkit(capsys, *command, *project)[0] == 0
    code, _, err = quantkit(capsys, "show", "absent", *project)
    assert code == 2
    assert "tables/small/absent.table: cannot be read" in err
