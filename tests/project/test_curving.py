"""The curve from end to end on a small project."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.streaming import collect_streaming
from quantkit.data.coco import Person, load_dataset
from quantkit.data.preprocess import crops
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import read_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project, curving, load_project
from quantkit.project.curve_sheet import outliers_path
from quantkit.project.curving import measure_curve
from quantkit.quantization.int8 import quantize
from quantkit.selection.seeded_order import seeded_order
from quantkit.stability.report import CurveReport, read_curve
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT, OUTPUT
from tests.projects import small_project

pytestmark = pytest.mark.slow

SIZES = (2, 4, 8, 16)


class Heard:
    """Keeps what a step says."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[tuple[str, int, int]] = []
        self.feedback = Feedback(lambda *step: self.stages.append(step), self.notes.append)


def measured(project: Project, heard: Heard | None = None, **options: Any) -> CurveReport:
    options = {"seeds": 2, "sizes": SIZES, **options}
    return measure_curve(project, feedback=(heard or Heard()).feedback, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, CurveReport, Heard]:
    project = small_project(tmp_path_factory.mktemp("curve") / "project", images=14)
    heard = Heard()
    return project, measured(project, heard), heard


@pytest.fixture
def project(made: tuple[Project, CurveReport, Heard], tmp_path: Path) -> Project:
    shutil.copytree(made[0].root, tmp_path / "project")
    return load_project(tmp_path / "project")


@pytest.fixture
def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(who: str, feedback: Feedback, work: Callable[..., Any], *given: Any) -> Any:
        return work(feedback, *given)

    monkeypatch.setattr(curving, "in_child", here)


def people(project: Project) -> tuple[list[Person], list[Person]]:
    """Who judges and who calibrates, worked out again."""
    paths = project.calibration
    everyone = load_dataset(paths.annotations, paths.images, keypoints=False).persons
    first = {person.image_id: person for person in reversed(everyone)}
    firsts = [first[number] for number in sorted(first)]
    images = [firsts[k].image_id for k in seeded_order(firsts, -1)]
    held = len(everyone) // 4
    order = [p for number in images for p in everyone if p.image_id == number][:held]
    taken = {person.image_id for person in order}
    return order, [person for person in everyone if person.image_id not in taken]


def test_a_point_is_what_calibrating_on_its_set_alone_gives(
    made: tuple[Project, CurveReport, Heard],
) -> None:
    project, report, _ = made
    judges, pool = people(project)
    files = project.source
    assert isinstance(files, NcnnFiles)
    network = read_network(files)
    assert (report.pool, report.held_out) == (len(pool), len(judges))
    shown = [crop.tensor for crop in crops(judges, project.input)]
    reference = outputs_on(network, INPUT, (OUTPUT,), shown)
    layers = [layer.name for layer in int8_layers(network)]
    for point in report.points[1::3]:
        chosen = [pool[k] for k in sorted(seeded_order(pool, point.seed)[: point.size])]
        tensors = [crop.tensor for crop in crops(chosen, project.input)]
        found = collect_streaming(network, INPUT, tensors, layers, total=len(tensors))
        table = calibrate(network, found, "kl").table
        assert point.scales == dict(table.activation_scales)
        outputs = outputs_on(quantize(network, table), INPUT, (OUTPUT,), shown)
        assert point.sqnr_db == pytest.approx(sqnr_db(reference, outputs), abs=1e-4)


def test_the_report_lies_beside_the_other_results(
    made: tuple[Project, CurveReport, Heard],
) -> None:
    project, report, _ = made
    assert read_curve(project.work_dir / "curve.json") == report
    assert report.sizes == SIZES
    assert report.labels == "labels"
    assert [(one.seed, one.size) for one in report.points] == [
        (seed, size) for seed in (0, 1) for size in SIZES
    ]
    assert all(one.ap_drop_ci is not None for one in report.points)


def test_the_cost_is_told_after_the_first_table_and_progress_counts_runs(
    made: tuple[Project, CurveReport, Heard],
) -> None:
    _, report, heard = made
    runs = 2 * (SIZES[-1] + len(SIZES) * report.held_out)
    (cost,) = heard.notes
    assert f"8 tables, {runs} runs of the network; about" in cost
    done = [step for step in heard.stages if step[0] == "curve"]
    assert done[-1] == ("curve", runs, runs)
    assert [one[1] for one in done] == sorted(one[1] for one in done)


def test_disjoint_sets_are_the_two_ends_of_one_order(
    made: tuple[Project, CurveReport, Heard],
) -> None:
    project, report, _ = made
    _, pool = people(project)
    pair = report.disjoint[-1]
    # The largest that fits twice.
    assert (pair.size, pair.seed) == (8, 0)
    assert len(pool) < 2 * 16
    files = project.source
    assert isinstance(files, NcnnFiles)
    network = read_network(files)
    order = seeded_order(pool, 0)
    tables = []
    for part in (order[:8], order[8:16]):
        tensors = [crop.tensor for crop in crops([pool[k] for k in part], project.input)]
        layers = [layer.name for layer in int8_layers(network)]
        found = collect_streaming(network, INPUT, tensors, layers, total=8)
        tables.append(calibrate(network, found, "kl").table.activation_scales)
    assert pair.layers == len(tables[0])
    for one in pair.disagreements:
        assert (one.first, one.second) == (tables[0][one.layer], tables[1][one.layer])
    off = [
        name
        for name in tables[0]
        if max(tables[0][name] / tables[1][name], tables[1][name] / tables[0][name]) > 1.1
    ]
    assert {one.layer for one in pair.disagreements} == set(off)


@pytest.mark.usefixtures("without_child")
def test_a_second_run_runs_no_network(
    made: tuple[Project, CurveReport, Heard], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(NcnnNet, "__init__", refuse)
    monkeypatch.setattr(NcnnNet, "of", refuse)
    heard = Heard()
    assert measured(project, heard) == made[1]
    assert heard.notes == ["curve: 8 tables are known already, 0 are not"]


@pytest.mark.usefixtures("without_child")
def test_a_stopped_run_goes_on_where_it_was(
    made: tuple[Project, CurveReport, Heard], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.work_dir / "curve.jsonl").unlink()
    record = Journal.record
    kept: list[str] = []

    def until_killed(self: Journal, key: str, value: dict[str, Any]) -> None:
        if len(kept) == 3:
            raise KeyboardInterrupt
        kept.append(key)
        record(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "record", until_killed)
        with pytest.raises(KeyboardInterrupt):
            measured(project)
    heard = Heard()
    assert measured(project, heard) == made[1]
    assert heard.notes[0] == "curve: 3 tables are known already, 5 are not"


@pytest.mark.usefixtures("without_child")
def test_another_method_or_input_uses_nothing_of_the_old(project: Project) -> None:
    for changed, method in [
        (project, "minmax"),
        (replace(project, input=replace(project.input, padding=1.5)), "kl"),
    ]:
        heard = Heard()
        measured(changed, heard, method=method)
        assert not any("known already" in note for note in heard.notes)


def test_outliers_are_looked_for_among_those_who_calibrate(project: Project) -> None:
    _, pool = people(project)

    def find(persons: Sequence[Person]) -> list[dict[str, Any]]:
        assert list(persons) == pool
        return [{"annotation_id": 5, "file_name": "a.png", "layers": ["stem"], "factor": 2.0}]

    report = measured(project, outliers=find)
    assert report.outliers[0]["factor"] == 2.0
    assert read_curve(project.work_dir / "curve.json") == report


@pytest.mark.usefixtures("without_child")
def test_outliers_that_an_earlier_curve_had_drawn_are_gone(project: Project) -> None:
    outliers_path(project).write_bytes(b"of an earlier curve")
    measured(project)
    assert not outliers_path(project).exists()


def test_without_labels_the_keypoints_of_fp32_are_the_labels(project: Project) -> None:
    path = project.calibration.annotations
    document = json.loads(path.read_text())
    for one in document["annotations"]:
        one["keypoints"], one["num_keypoints"] = [0] * 51, 0
    path.write_text(json.dumps(document))
    report = measured(project, sizes=(2, 4))
    assert report.labels == "fp32 keypoints"
    assert report.fp32_ap == 1.0


def test_images_of_the_evaluation_data_are_refused(project: Project) -> None:
    for path in project.val.images.iterdir():
        shutil.copy(path, project.calibration.images / "000001.png")
    with pytest.raises(InputError, match=r"000001\.png"):
        measured(project)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"held_out": 0}, "1 held-out person"),
        ({"sizes": (8, 4)}, "must ascend"),
        ({"sizes": (8, 99)}, "sets of 99 persons are asked for"),
        ({"method": "entropy"}, "no calibration method"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    project: Project, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        measured(project, **options)


def test_the_default_sizes_end_with_the_pool(project: Project) -> None:
    report = measured(project, sizes=None)
    assert report.sizes == (8, 16)
    assert np.isfinite([one.sqnr_db for one in report.points if one.sqnr_db]).all()
