"""The search from end to end on a small project, with the layer times of an invented phone."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from quantkit.calibration.provenance import read_provenance
from quantkit.calibration.table import read_table
from quantkit.errors import GateFailed, InputError
from quantkit.latency.layer_shape import LayerShape, distinct, takes_winograd
from quantkit.latency.networks import NetworkTimes, TimedNetwork
from quantkit.latency.profile import LatencyProfile, LayerTimes, write_profile
from quantkit.latency.samples import Milliseconds
from quantkit.model.eligibility import quantized_layers
from quantkit.model.network import read_network
from quantkit.model.param import read_param
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project import Project, load_project
from quantkit.project.artifacts import backend_artifacts
from quantkit.project.calibrating import Calibrated, calibrate_model, ready_table
from quantkit.project.calibration_request import CalibrationRequest
from quantkit.project.mixing import MixRequest, mix_table
from quantkit.project.mixing_times import timed
from quantkit.project.quantizing import quantize_model
from quantkit.project.selection_request import SelectionRequest
from quantkit.quantization.prepared_layers import changed_layers
from quantkit.sensitivity.search_report import Bounds, SearchReport
from tests.nets import INPUT, SIZE
from tests.projects import small_project

pytestmark = pytest.mark.slow

DEPTHWISE = "depthwise"
LOOSE = Bounds(max_drop=None, min_sqnr=5.0)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = small_project(tmp_path_factory.mktemp("mixing") / "project")
    calibrate_model(
        project, CalibrationRequest("kl", selection=SelectionRequest(count=8)), feedback=Feedback()
    )
    return project.root


@pytest.fixture
def project(calibrated: Path, tmp_path: Path) -> Project:
    shutil.copytree(calibrated, tmp_path / "project")
    return load_project(tmp_path / "project")


@pytest.fixture
def base(project: Project) -> Calibrated:
    return ready_table(project, "kl", feedback=Feedback())


def plain_times(shape: LayerShape) -> dict[str, Milliseconds]:
    """Int8 takes half the time, but for depthwise layers, where it takes twice."""
    int8 = 2.0 if shape.type == "ConvolutionDepthWise" else 0.5
    return {"fp32": Milliseconds(1.0, 0.9), "int8": Milliseconds(int8, 0.9 * int8)}


def masked_times(shape: LayerShape) -> dict[str, Milliseconds]:
    """As `plain_times`, and Winograd is a loss in int8."""
    more = {"int8-direct": Milliseconds(0.2, 0.1)} if takes_winograd(shape.layer) else {}
    return {**plain_times(shape), **more}


def phone(
    base: Calibrated,
    folder: Path,
    times: Callable[[LayerShape], Mapping[str, Milliseconds]] = plain_times,
) -> Path:
    network = read_network(base.fp32)
    shapes = blob_shapes(network.param, {INPUT: (3, SIZE[1], SIZE[0])})
    layers = [network.param.layer(name) for name in read_table(base.table).layers]
    found = {shape: LayerTimes(times(shape)) for shape in distinct(layers, shapes)}
    path = folder / "phone.json"
    write_profile(LatencyProfile({"cpu": "a phone"}, found, 0.01), path)
    return path


def searched(project: Project, base: Calibrated, bounds: Bounds = LOOSE) -> SearchReport:
    request = MixRequest("kl", bounds=bounds, latency=phone(base, project.root))
    return mix_table(project, request, feedback=Feedback())


def test_the_layers_for_which_int8_pays_are_int8_where_that_holds_the_bounds(
    project: Project, base: Calibrated
) -> None:
    report = searched(project, base)
    table = read_table(project.tables_dir / "mixed.table")
    every = read_table(base.table).layers
    grouped = read_network(base.fp32).param
    fp32 = {name for name in every if grouped.layer(name).type == "ConvolutionDepthWise"}
    assert DEPTHWISE in fp32
    assert set(table.layers) == set(every) - fp32
    assert report.chosen == "int8 where it pays"
    assert report.tried[0].name == "fp32"
    assert all(one.median_ms is None for one in report.tried)
    assert report.layer_noise == 0.01


def test_a_search_begins_with_a_table_of_unknown_origin(project: Project, base: Calibrated) -> None:
    own = project.root / "own.table"
    shutil.copy(base.table, own)
    given = phone(base, project.root)
    request = MixRequest(own, bounds=LOOSE, latency=given, calib_set="small-random-8-seed0")
    report = mix_table(project, request, feedback=Feedback())
    assert report.base == "own.table"
    assert "there is no own.json" in (report.table_note or "")
    origin = read_provenance(project.tables_dir / "mixed.json")
    assert origin.unknown == "there is no own.json beside it"
    assert origin.calibration_set == "small-random-8-seed0"
    # A table that was edited since is another search.
    own.write_text(read_table(own).without(["head"]).text())
    with pytest.raises(InputError, match="is there already"):
        mix_table(project, request, feedback=Feedback())


def test_both_lines_of_a_layer_in_fp32_are_left_out_and_the_reason_is_beside_the_table(
    project: Project, base: Calibrated
) -> None:
    searched(project, base)
    text = (project.tables_dir / "mixed.table").read_text()
    assert not [line for line in text.splitlines() if line.startswith(DEPTHWISE)]
    origin = read_provenance(project.tables_dir / "mixed.json")
    reason = origin.left_out[DEPTHWISE]
    assert reason == ("int8 does not pay: 2.0000 ms in int8, 1.0000 in fp32, measured on a phone")
    assert origin.layers[DEPTHWISE].scale is None
    assert origin.layers["stem"].scale is not None
    assert origin.method == "mixed"
    assert set(origin.left_out) | set(read_table(project.tables_dir / "mixed.table").layers) == set(
        origin.layers
    )


def test_the_evaluation_runs_exactly_those_layers_in_fp32(
    project: Project, base: Calibrated
) -> None:
    searched(project, base)
    artifacts = backend_artifacts(project, ["ncnn-int8"], "mixed", 1, Feedback())
    table = read_table(project.tables_dir / "mixed.table")
    files = artifacts["ncnn-int8"]
    assert isinstance(files, NcnnFiles)
    assert quantized_layers(read_network(files)) == table.layers
    ready = ready_table(project, "mixed", feedback=Feedback())
    assert ready.int8 == files
    assert DEPTHWISE in ready.left_out


def test_layers_are_given_up_until_the_bound_holds(project: Project, base: Calibrated) -> None:
    loose = searched(project, base)
    pays = next(one for one in loose.tried if one.name == "int8 where it pays")
    assert pays.effect is not None
    assert pays.effect.sqnr_db is not None
    strict = Bounds(None, pays.effect.sqnr_db + 3)
    request = MixRequest("kl", "strict", strict, phone(base, project.root))
    report = mix_table(project, request, feedback=Feedback())
    chosen = next(one for one in report.tried if one.name == report.chosen)
    assert chosen.effect is not None
    assert chosen.effect.sqnr_db is not None
    assert chosen.effect.sqnr_db >= pays.effect.sqnr_db + 3
    origin = read_provenance(project.tables_dir / "strict.json")
    given_up = [name for name, why in origin.left_out.items() if why.startswith("given up to hold")]
    table = read_table(project.tables_dir / "strict.table")
    assert chosen.int8_layers == len(table.layers)
    assert given_up or "calibrated anew" in report.chosen
    evaluated = [one for one in report.tried if one.effect]
    assert len(evaluated) < 3 * len(read_table(base.table).layers)


def test_the_choice_is_confirmed_on_validation_data(project: Project, base: Calibrated) -> None:
    found = searched(project, base, Bounds(0.5, None)).confirmed
    assert found is not None
    assert found.dataset == "val.json"
    assert found.instances == 12
    assert found.ap == pytest.approx(1.0)
    assert found.ap_drop is not None
    assert found.ap_drop_ci is not None
    assert found.ap_drop_ci[0] <= found.ap_drop <= found.ap_drop_ci[1]


def test_masks_are_in_the_network_beside_the_table_and_survive_quantization(
    project: Project, base: Calibrated
) -> None:
    request = MixRequest("kl", bounds=LOOSE, latency=phone(base, project.root, masked_times))
    report = mix_table(project, request, feedback=Feedback())
    assert report.chosen == "int8 where it pays, masks"
    assert report.masks == ("left", "residual")
    ready = ready_table(project, "mixed", feedback=Feedback())
    assert ready.prepared.param == project.tables_dir / "mixed.param"
    for param in (ready.prepared.param, ready.int8.param):
        masked = [x.name for x in read_param(param).layers if x.params.get(31) == "64"]
        assert sorted(masked) == ["left", "residual"]
    assert quantized_layers(read_network(ready.int8)) == read_table(ready.table).layers
    assert "31=64" in read_provenance(project.tables_dir / "mixed.json").notes["left"]
    by_hand = quantize_model(project, ready.table, Feedback())
    assert read_network(by_hand.files).sha256 == read_network(ready.int8).sha256


def test_masks_do_not_keep_a_table_from_other_backends(project: Project, base: Calibrated) -> None:
    request = MixRequest("kl", bounds=LOOSE, latency=phone(base, project.root, masked_times))
    mix_table(project, request, feedback=Feedback())
    ready = ready_table(project, "mixed", feedback=Feedback())
    assert changed_layers(read_network(ready.fp32), read_network(ready.prepared)) == ()


def test_a_finished_search_is_reused_and_a_changed_one_is_not(
    project: Project, base: Calibrated
) -> None:
    report = searched(project, base)
    notes: list[str] = []
    request = MixRequest("kl", bounds=LOOSE, latency=phone(base, project.root))
    again = mix_table(project, request, feedback=Feedback(note=notes.append))
    assert again == report
    assert any("search reused" in note for note in notes)
    with pytest.raises(InputError, match=r"mixed\.table: is there already; give --overwrite"):
        searched(project, base, Bounds(None, 6.0))
    (project.tables_dir / "mixed.table").write_text("")
    with pytest.raises(InputError, match=r"mixed\.table: is there already; give --overwrite"):
        searched(project, base)


def test_a_killed_search_goes_on_and_ends_with_the_same_table(
    project: Project, base: Calibrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("quantkit.project.mixing.timed", killed)
        with pytest.raises(KeyboardInterrupt):
            searched(project, base)
    assert not (project.tables_dir / "mixed.table").exists()
    journal = project.work_dir / "search.jsonl"
    lines = journal.read_text().splitlines()
    assert lines
    kept: list[int] = []
    with monkeypatch.context() as patch:

        def counted(*given: object, **named: object) -> object:
            kept.append(len(journal.read_text().splitlines()))
            return timed(*given, **named)  # type: ignore[arg-type]

        patch.setattr("quantkit.project.mixing.timed", counted)
        searched(project, base)
    assert kept == [len(lines)], "what was kept was measured again"
    assert (project.tables_dir / "mixed.table").is_file()
    assert not journal.exists()


def test_a_layer_without_times_is_named(project: Project, base: Calibrated) -> None:
    path = phone(base, project.root)
    document = json.loads(path.read_text())
    document["layers"] = document["layers"][1:]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="the layer times have none for layer 'stem' \\(Conv"):
        mix_table(project, MixRequest("kl", bounds=LOOSE, latency=path), feedback=Feedback())
    assert not (project.tables_dir / "mixed.table").exists()


def test_a_table_of_another_model_is_refused(project: Project, base: Calibrated) -> None:
    path = phone(base, project.root)
    param = project.root / "model" / "net.param"
    param.write_text(param.read_text().replace("1=3 3=2", "1=3  3=2"))
    other = project.root / "model" / "net.bin"
    data = bytearray(other.read_bytes())
    data[9] ^= 1
    other.write_bytes(bytes(data))
    with pytest.raises(InputError, match="was made for another model"):
        mix_table(project, MixRequest("kl", bounds=LOOSE, latency=path), feedback=Feedback())


def test_where_int8_never_pays_fp32_is_kept(project: Project, base: Calibrated) -> None:
    def slow(shape: LayerShape) -> dict[str, Milliseconds]:
        return {"fp32": Milliseconds(1.0, 1.0), "int8": Milliseconds(1.0, 1.0)}

    request = MixRequest("kl", bounds=LOOSE, latency=phone(base, project.root, slow))
    with pytest.raises(GateFailed, match="no layer is predicted to be clearly faster in int8"):
        mix_table(project, request, feedback=Feedback())
    assert not (project.tables_dir / "mixed.table").exists()


def test_a_bound_that_cannot_be_held_is_a_failed_gate(project: Project, base: Calibrated) -> None:
    request = MixRequest("kl", bounds=Bounds(None, 500.0), latency=phone(base, project.root))
    with pytest.raises(GateFailed, match="no mix with a layer in int8 holds the bounds"):
        mix_table(project, request, feedback=Feedback())


def test_the_table_that_a_search_begins_with_is_not_replaced(project: Project) -> None:
    with pytest.raises(InputError, match="would replace the one that the search begins with"):
        mix_table(project, MixRequest("kl", "kl"), feedback=Feedback(), overwrite=True)


def test_on_this_machine_whole_networks_are_timed_and_the_fastest_is_taken(
    project: Project, base: Calibrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(
        networks: Mapping[str, TimedNetwork], shape: object, *, baseline: str, **_: object
    ) -> NetworkTimes:
        assert all(one.files.param.is_file() for one in networks.values())
        times = {name: Milliseconds(2.0, 1.9) for name in networks}
        times["all int8"] = Milliseconds(1.0, 0.9)
        times["fp32"] = Milliseconds(3.0, 2.9)
        return NetworkTimes({}, times, baseline, 0.01, 8)

    monkeypatch.setattr("quantkit.project.mixing_times.measure_networks", measured)

    def layers(shapes: tuple[LayerShape, ...], **_: object) -> LatencyProfile:
        times = {shape: LayerTimes(plain_times(shape)) for shape in shapes}
        return LatencyProfile({"cpu": "this one"}, times, 0.02)

    monkeypatch.setattr("quantkit.project.layer_timing.measure_layers", layers)
    report = mix_table(project, MixRequest("kl", bounds=LOOSE), feedback=Feedback())
    assert report.chosen == "all int8"
    found = {one.name: one for one in report.tried}
    assert found["all int8"].ratio == pytest.approx(1 / 3, abs=1e-3)
    assert found["fp32 with bf16 storage"].ratio == pytest.approx(2 / 3, abs=1e-3)
    assert found["all int8"].pareto
    assert (project.work_dir / "latency.json").is_file()
    assert not list(project.work_dir.glob("search-*")), "temporary networks were left"
    assert read_table(project.tables_dir / "mixed.table").layers == read_table(base.table).layers


def test_a_kill_after_the_table_was_written_loses_the_confirmation_alone(
    project: Project, base: Calibrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("quantkit.project.mixing.confirmed", killed)
        with pytest.raises(KeyboardInterrupt):
            searched(project, base)
    written = (project.tables_dir / "mixed.table").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("quantkit.project.mixing.search", killed)
        report = searched(project, base)
    assert report.confirmed is not None
    assert (project.tables_dir / "mixed.table").read_bytes() == written
