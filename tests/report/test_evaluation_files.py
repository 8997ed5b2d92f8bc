import csv
import io
import json
import re
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pycocotools.cocoeval import COCOeval
from rich.console import Console

from quantkit.errors import InputError
from quantkit.evaluation.coco_ap import coco_figures
from quantkit.evaluation.comparison import Comparison, Row, Until, read_comparison
from quantkit.evaluation.oks import KEYPOINT_NAMES
from quantkit.report.evaluation import evaluation_table
from quantkit.report.evaluation_files import write_evaluation
from quantkit.report.evaluation_log import coco_lines
from quantkit.report.sentences import data_sentence, reasons, until_sentence
from tests.coco_folder import load_coco_folder
from tests.evaluation.made_up import predictions_near_labels
from tests.report.rows import ABSENT, BASELINE, COMPARISON, INT8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_evaluation(tmp_path / "eval", COMPARISON)
    return tmp_path / "eval"


def sections(text: str) -> dict[str, str]:
    """Text of each second-level section of a Markdown file."""
    return dict(part.split("\n", 1) for part in text.split("\n## ")[1:])


def table(section: str) -> list[dict[str, str]]:
    """Rows of a Markdown table; a backslash keeps a bar inside its cell."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    assert all(set(cell) <= set(":-") for cell in cells[1])
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_the_markdown_has_the_reports_layout_and_links_the_logs(folder: Path) -> None:
    found = sections((folder / "eval.md").read_text())
    assert list(found) == ["pytorch", "ncnn-int8", "tensorrt"]
    (row,) = table(found["ncnn-int8"])
    assert row == {
        "Arch": r"hourglass\|small",
        "Input Size": "192x256",
        "AP": "0.713",
        "AP50": "0.892",
        "AP75": "0.787",
        "AR": "0.771",
        "AR50": "0.932",
        "log": "[log](ncnn-int8.log)",
    }
    assert "Drop +0.0042 AP against pytorch, 95 % interval -0.0010 .. +0.0091" in found["ncnn-int8"]
    assert "rop" not in found["pytorch"]
    assert table(found["pytorch"])[0]["AP"] == "0.717"
    for name, section in found.items():
        (link,) = re.findall(r"\[log\]\(([^)]+)\)", section)
        assert (folder / link).read_text().startswith(f"hourglass|small on {name} (")


def test_a_backend_without_figures_has_its_reason_instead(folder: Path) -> None:
    section = sections((folder / "eval.md").read_text())["tensorrt"]
    assert r"unavailable: needs 'tensorrt' \| a GPU" in section
    assert "\n|" not in section
    log = (folder / "tensorrt.log").read_text()
    assert "unavailable: needs 'tensorrt' | a GPU" in log
    assert "Average" not in log


def test_the_csv_reads_back_in_full_precision(folder: Path) -> None:
    with (folder / "eval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["backend"] for row in rows] == ["pytorch", "ncnn-int8", "tensorrt"]
    for line, row in zip(rows, COMPARISON.rows, strict=True):
        assert (line["model"], line["input_size"]) == ("hourglass|small", "192x256")
        values = asdict(row)
        low, high = values.pop("ap_drop_ci") or (None, None)
        for name in ("keypoint_oks", "keypoint_oks_vs_baseline", "keypoint_distance"):
            del values[name]
            assert name not in line
        for name, value in {**values, "ap_drop_low": low, "ap_drop_high": high}.items():
            assert line[name] == ("" if value is None else str(value)), name


def test_the_json_reads_back(folder: Path) -> None:
    assert read_comparison(folder / "eval.json") == COMPARISON


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema": 1, "rows": [], "input_size": [1]}'])
def test_a_json_that_is_no_evaluation_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "eval.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"eval\.json: is not an evaluation"):
        read_comparison(path)


def test_the_log_prints_the_figures_as_pycocotools_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.StringIO()
    summarize = COCOeval.summarize

    def heard(evaluation: COCOeval) -> None:
        with redirect_stdout(printed):
            summarize(evaluation)

    monkeypatch.setattr(COCOeval, "summarize", heard)
    dataset = load_coco_folder(tmp_path)
    figures, _ = coco_figures(predictions_near_labels(dataset, noise=0.06), dataset)
    lines = coco_lines(Row("ncnn", "fp32").with_figures(figures))
    assert lines == printed.getvalue().splitlines()
    assert len(lines) == 10


def test_the_log_says_what_the_figures_are_of(folder: Path) -> None:
    log = (folder / "ncnn-int8.log").read_text()
    assert log.startswith("hourglass|small on ncnn-int8 (int8, table kl), input 192x256\n")
    assert "6352 persons of person_keypoints_val2017.json, flip test off" in log
    assert "\n".join(coco_lines(INT8)) in log
    assert "area= large | maxDets= 20 ] = -1.000" in log
    assert "drop +0.0042 AP against pytorch, 95 % interval -0.0010 .. +0.0091; OKS 0.9877" in log
    assert "options: ncnn 1.0, fp16 off" in log
    assert "versions: numpy 1.26.4, ncnn 1.0" in log
    baseline = (folder / "pytorch.log").read_text()
    assert "table" not in baseline
    assert "\n".join(coco_lines(BASELINE)) in baseline
    assert "the baseline" in baseline


def test_every_format_says_how_it_was_evaluated(tmp_path: Path) -> None:
    changed = replace(COMPARISON, nms="oks_nms", score_mode="bbox", flip_test=True)
    write_evaluation(tmp_path, changed)
    said = "oks_nms, score mode bbox, flip test on: two runs a person"
    for name in ("eval.md", "pytorch.log"):
        assert said in (tmp_path / name).read_text().replace("\\", "")
    value = json.loads((tmp_path / "eval.json").read_text())
    assert (value["flip_test"], value["score_mode"]) == (True, "bbox")
    assert read_comparison(tmp_path / "eval.json") == changed
    threshold = data_sentence(replace(COMPARISON, keypoint_threshold=0.35))
    assert threshold.endswith("keypoint threshold 0.35, flip test off")


def test_the_log_lists_the_keypoints(folder: Path) -> None:
    log = (folder / "ncnn-int8.log").read_text()
    assert "OKS 0.8000 against the labels" in log
    head, *lines = log[log.index("OKS of") :].splitlines()[:18]
    assert head.split() == ["OKS", "of", "labels", "pytorch"]
    found = {name: (labels, base) for name, labels, base in (line.split() for line in lines)}
    assert list(found) == list(KEYPOINT_NAMES)
    assert found["left_ear"] == ("-", "0.9030")
    assert found["right_ankle"] == ("0.6600", "0.9160")
    baseline = (folder / "pytorch.log").read_text()
    assert re.search(r"OKS of +labels\n", baseline)


def test_without_labels_only_the_agreement_is_told(tmp_path: Path) -> None:
    rows = [
        replace(Row(row.backend, row.precision), oks_vs_baseline=row.oks_vs_baseline)
        for row in (BASELINE, INT8)
    ]
    comparison = replace(COMPARISON, rows=tuple(rows))
    write_evaluation(tmp_path, comparison)
    assert "Average" not in (tmp_path / "ncnn-int8.log").read_text()
    assert "OKS 0.9877 against pytorch" in (tmp_path / "ncnn-int8.log").read_text()
    section = sections((tmp_path / "eval.md").read_text())["ncnn-int8"]
    assert list(table(section)[0]) == ["Arch", "Input Size", "log"]
    assert "OKS 0.9877 against pytorch." in section
    console = Console(file=io.StringIO(), width=100)
    console.print(evaluation_table(comparison, 100))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.9877" in printed
    assert "AP50" not in printed


def printed_table(comparison: Comparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(evaluation_table(comparison, width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


LONG = replace(
    INT8, backend="onnxruntime-int8", ms_per_instance=1288.45, size_mb=1374.6
)  # the widest name, and figures of a large network


@pytest.mark.parametrize(
    ("width", "absent"),
    [
        (110, set()),
        (100, {"AR50"}),
        (92, {"AR50", "MB"}),
        (84, {"AR50", "MB", "OKS"}),
        (80, {"AR50", "MB", "OKS", "AR"}),
    ],
)
def test_a_narrow_terminal_shows_fewer_figures_and_cuts_none(width: int, absent: set[str]) -> None:
    comparison = replace(COMPARISON, rows=(BASELINE, LONG, ABSENT))
    lines = printed_table(comparison, width)
    shown = next(line for line in lines if "backend" in line).split()
    figures = ["AP50", "AP75", "AR", "AR50", "OKS", "ms", "MB"]
    assert shown[6:] == [name for name in figures if name not in absent]
    row = next(line for line in lines if "onnxruntime-int8" in line)
    assert "…" not in "".join(lines)
    assert row.split()[:2] == ["onnxruntime-int8", "0.7129"]
    assert "1288.45" in row
    assert ("1374.60" in row) == ("MB" not in absent)


def test_every_format_says_what_until_found(tmp_path: Path) -> None:
    rows = (BASELINE, replace(INT8, within=False), ABSENT)
    comparison = replace(COMPARISON, rows=rows, until=Until(0.002, 128, 5000))
    write_evaluation(tmp_path, comparison)
    said = "rop of at most 0.002 AP, after 128 of 5000 images: ncnn-int8 over"
    assert said in until_sentence(comparison)
    assert said in (tmp_path / "eval.md").read_text()
    assert said in (tmp_path / "ncnn-int8.log").read_text()
    assert read_comparison(tmp_path / "eval.json") == comparison
    with (tmp_path / "eval.csv").open(newline="") as file:
        assert [row["within"] for row in csv.DictReader(file)] == ["", "False", ""]
    assert until_sentence(COMPARISON) == ""


def test_the_logs_and_the_markdown_do_not_tell_the_time(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_evaluation(folder, COMPARISON)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for path in (*folder.glob("*.log"), folder / "eval.md"):
        assert not re.search(r"20\d\d-\d\d|\d\d:\d\d:\d\d|12\.5", path.read_text())


def test_one_reason_of_several_backends_is_said_once() -> None:
    also = replace(ABSENT, backend="tensorrt-fp16")
    crashed = replace(ABSENT, backend="ncnn", status="crashed", reason="SIGSEGV")
    comparison = replace(COMPARISON, rows=(*COMPARISON.rows, crashed, also))
    assert reasons(comparison) == [
        "tensorrt, tensorrt-fp16 are unavailable: needs 'tensorrt' | a GPU",
        "ncnn is crashed: SIGSEGV",
    ]


def test_a_table_without_labels_names_the_baseline_and_what_did_not_run() -> None:
    console = Console(width=100)
    rows = (
        Row("ncnn", "fp32", ms_per_instance=1.0),
        Row("ncnn-int8", "int8", sqnr_db=(30.0,)),
        ABSENT,
    )
    with console.capture() as shown:
        console.print(evaluation_table(replace(COMPARISON, baseline="ncnn", rows=rows)))
    lines = [line.split() for line in shown.get().splitlines()]
    assert ["ncnn", "baseline", "1.00"] in lines
    assert ["tensorrt", "unavailable"] in lines


def test_a_table_of_backends_that_did_not_run_compares_with_none() -> None:
    console = Console(width=100)
    with console.capture() as shown:
        console.print(evaluation_table(replace(COMPARISON, baseline=None, rows=(ABSENT,))))
    assert "None" not in shown.get()
    assert "No backend ran." in shown.get()
