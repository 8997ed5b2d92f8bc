"""How much faster the mix of a search is than fp32, and how close its outputs stay.

`pytest tests/benchmarks -k mix_latency -s`, for minutes, on a quiet machine with
QUANTKIT_REAL_DATA. The table that the search begins with is QUANTKIT_TABLE, else `best`. All
networks take turns in one thread; what is printed is what the search reports. Ratios belong to the
processor: on one with fast fp32 units int8 gains less.
"""

import os
from pathlib import Path

import pytest

from quantkit.cli.console import results
from quantkit.progress import Feedback
from quantkit.project import load_project
from quantkit.project.mixing import MixRequest, mix_table
from quantkit.report.search import search_table

TABLE = os.environ.get("QUANTKIT_TABLE", "best")
NETS = {
    "simplepose": ("data", '["hybridsequential0_conv7_fwd"]', 'type = "heatmap"'),
    "tinypose": ("image", '["save_infer_model/scale_0.tmp_1"]', 'type = "heatmap"'),
    "simcc_small": ("input", '["output0", "output1"]', 'type = "simcc"\nsimcc_split_ratio = 1.0'),
}


def write_project(folder: Path, real: Path, net: str) -> Path:
    source, outputs, head = NETS[net]
    model, coco = real / "models" / f"{net}_256x192", real / "coco"
    data = "\n".join(
        f'[data.{name}]\nannotations = "{coco}/annotations/person_keypoints_{split}2017.json"\n'
        f'images = "{coco}/{split}2017"'
        for name, split in (("val", "val"), ("calibration", "train"))
    )
    pair = f'param = "{model}.param", bin = "{model}.bin"'
    path = folder / "quantkit.toml"
    path.write_text(
        f'[model]\nname = "{net}"\n'
        f'ncnn = {{ {pair}, input = "{source}", outputs = {outputs} }}\n'
        "[input]\nsize = [192, 256]\nmean = [123.675, 116.28, 103.53]\n"
        'std = [58.395, 57.12, 57.375]\ncolor = "rgb"\n'
        f"[head]\n{head}\n{data}\n"
    )
    return path


@pytest.mark.parametrize("net", NETS)
def test_mix_latency(tmp_path: Path, real_data: Path, net: str) -> None:
    project = load_project(write_project(tmp_path, real_data, net))
    report = mix_table(project, MixRequest(TABLE), feedback=Feedback(note=print))
    results().print(search_table(report))
    chosen = next(one for one in report.tried if one.name == report.chosen)
    assert chosen.broken is None
    assert chosen.ratio is not None
    assert chosen.ratio < 1 - report.claim
