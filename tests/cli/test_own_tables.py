"""Tables of one's own on the command line: edited, evaluated, ranked and quantized."""

import json
import shutil

import pytest

from tests.cli.command import Command

PAIR = ("eval", "--backend", "ncnn", "--backend", "ncnn-int8")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--threshold", "stem"), "--threshold 'stem' is not LAYER=VALUE"),
        (("--threshold", "stem=x"), "--threshold 'stem=x' is not LAYER=VALUE"),
        (("--threshold", "=1"), "--threshold '=1' is not LAYER=VALUE"),
        (("--threshold", "a=1", "--threshold", "a=2"), "gives layer 'a' two values"),
        (("--threshold", "a=b=-1"), "the threshold -1 of layer 'a=b': is not a positive finite"),
        ((), "nothing to change"),
        (("--fp32", "stem"), "there is no such table; the project has none, and can make best"),
    ],
)
def test_an_edit_that_cannot_be_made_is_one_line_and_exit_code_2(
    quantkit: Command, asked: tuple[str, ...], message: str
) -> None:
    code, out, err = quantkit("table", "edit", "own", "--name", "mine", *asked)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.slow
def test_a_table_is_edited_as_advised_and_evaluated(quantkit: Command) -> None:
    assert quantkit("calibrate", "--fast", "--select", "random", "--count", "4")[0] == 0
    tables = quantkit.project.tables_dir
    edit = ("table", "edit", "kl", "--fp32", "head", "--threshold", "stem=12.7", "--name", "mine")
    made = quantkit.json(*edit, "--reason", "it costs the most")
    assert [one["layer"] for one in made["changes"]] == ["head", "stem"]
    assert made["table_note"] is None
    assert "exists with other content" in quantkit(*edit)[2]
    assert "head: in fp32\n" in quantkit(*edit, "--overwrite")[1]
    known = quantkit.json(*PAIR, "--table", "mine")
    assert (known["table"], known["table_note"]) == ("mine", None)
    # The same table without its .json, elsewhere, under a name with a space.
    own = quantkit.project.root.parent / "my own.table"
    shutil.copy(tables / "mine.table", own)
    value = quantkit.json(*PAIR, "--table", str(own))
    assert value["table"] == "my own.table"
    assert "origin unknown (there is no my own.json beside it)" in value["table_note"]
    assert value["rows"][1]["ap"] == known["rows"][1]["ap"]
    code, out, err = quantkit(*PAIR, "--table", "../my own.table")
    assert code == 0
    assert "table my own.table: origin unknown" in " ".join(out.split())
    assert "table my own.table: origin unknown" in err
    quantized = quantkit.json("quantize", "../my own.table")
    assert "origin unknown" in quantized["table_note"]
    assert len(quantized["int8_layers"]) == made["int8_layers"]
    ranked = ("sensitivity", "--crops", "2", "--ap-crops", "0", "--ap-layers", "0")
    report = quantkit.json(*ranked, "--table", str(own), "--calib-set", "small-random-4-seed0")
    assert report["calibration_set"] == "small-random-4-seed0"
    assert report["table_note"] == value["table_note"]
    written = json.loads((quantkit.project.work_dir / "sensitivity.json").read_text())
    assert (written["table"], written["table_file"]) == ("my own.table", "../my own.table")
