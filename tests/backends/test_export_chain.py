import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import onnx as onnx_package
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantkit.backends import export_chain, open_runner
from quantkit.backends.export_chain import export, export_onnx
from quantkit.backends.export_key import export_key
from quantkit.backends.export_report import ExportReport, reusable_onnx, reusable_report
from quantkit.errors import GateFailed, InputError
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from tests.mmpose_configs import write_heatmap_config
from tests.nets import small_network, write_pair
from tests.onnx_nets import foreign_int8, onnx_crops, reference_outputs, small_onnx
from tests.oracles import mmpose_or_skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _pnnx() -> None:
    pytest.importorskip("pnnx", exc_type=ImportError)


@pytest.fixture
def onnx(tmp_path: Path) -> OnnxFile:
    return small_onnx(tmp_path / "small.onnx", outputs=2)


def outputs_of(report: ExportReport, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    with open_runner("ncnn", report.ncnn) as runner:
        return list(runner.run(tensor))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    folder = tmp_path_factory.mktemp("exported")
    source = small_onnx(folder / "small.onnx", outputs=2)
    return export(source, onnx_crops(2), folder / "work")


def test_an_onnx_file_becomes_an_ncnn_network_that_computes_the_same(
    exported: ExportReport, onnx: OnnxFile
) -> None:
    crop = onnx_crops(1)[0]
    expected = reference_outputs(onnx, crop)
    for got, wanted in zip(outputs_of(exported, crop), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5)


def test_each_step_reports_its_cost_and_its_difference(exported: ExportReport) -> None:
    assert [step.name for step in exported.steps] == [
        "onnx -> simplified onnx",
        "simplified onnx -> ncnn",
    ]
    for step in exported.steps:
        assert step.difference is not None
        assert step.difference.relative < 1e-5
        assert step.seconds > 0
        assert step.size_mb > 0
    files = {path.name for path in exported.ncnn.bin.parent.iterdir()}
    assert files == {"model.onnx", "model.param", "model.bin", "export.json"}


def test_an_operator_without_a_counterpart_is_named_by_the_users_file(
    onnx: OnnxFile, tmp_path: Path
) -> None:
    model = onnx_package.load(onnx.path)
    steps = ("starts", [0]), ("ends", [2**31 - 1]), ("axes", [2]), ("steps", [2])
    for name, values in steps:
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    cut = helper.make_node("Slice", ["sum_relu", *(name for name, _ in steps)], ["cut"])
    head = next(node for node in model.graph.node if node.name == "heatmap0")
    head.input[0] = "cut"
    model.graph.node.insert(list(model.graph.node).index(head), cut)
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 8
    onnx_package.save(model, onnx.path)
    with pytest.raises(InputError) as caught:
        export(onnx, onnx_crops(1), tmp_path / "work")
    assert "pnnx left 1 operator of small.onnx that ncnn cannot run: 'Tensor.slice' (1 " in str(
        caught.value
    )
    assert "made of ONNX Slice" in str(caught.value)


@pytest.mark.parametrize("step", ["repair_onnx", "simplify_onnx", "onnx_to_ncnn"])
def test_no_message_names_a_file_that_is_gone(
    onnx: OnnxFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        message = f"cannot be read, nor can {arguments[1]}/net.bin; see {arguments[1]}"
        raise InputError(message, path=cast("OnnxFile", arguments[0]).path)

    monkeypatch.setattr(export_chain, step, refuse)
    with pytest.raises(InputError, match=r"small\.onnx") as caught:
        export(onnx, onnx_crops(1), tmp_path / "work")
    assert ".export-" not in str(caught.value)


def test_an_unchanged_network_is_reused_and_a_changed_one_is_not(
    onnx: OnnxFile, tmp_path: Path
) -> None:
    crops = onnx_crops(1)
    work = tmp_path / "work"
    seen: list[tuple[str, int, int]] = []
    notes: list[str] = []
    feedback = Feedback(progress=lambda *step: seen.append(step), note=notes.append)
    first = export(onnx, crops, work, feedback=feedback)
    assert seen == [("export", 1, 2), ("export", 2, 2)]
    assert notes == []
    again = export(onnx, crops, work, feedback=feedback)
    assert (first.reused, again.reused) == (False, True)
    assert (again.steps, again.onnx, again.ncnn) == (first.steps, first.onnx, first.ncnn)
    assert len(notes) == 1
    assert "reused" in notes[0]
    small_onnx(onnx.path, outputs=2, seed=9)
    leftover = work / f".export-{2**22 + 1}-killed"
    leftover.mkdir()
    assert not export(onnx, crops, work).reused
    assert not leftover.exists()


@pytest.mark.parametrize("damaged", ["model.bin", "model.onnx", "export.json"])
def test_a_damaged_output_is_not_reused(
    exported: ExportReport, tmp_path: Path, damaged: str
) -> None:
    work = tmp_path / "work"
    shutil.copytree(exported.ncnn.bin.parent, work)
    assert reusable_report(work, exported.key) is not None
    assert reusable_report(work, "another key") is None
    (work / damaged).write_bytes((work / damaged).read_bytes()[:-9])
    assert reusable_report(work, exported.key) is None


def test_the_report_on_disk_is_plain_json(exported: ExportReport) -> None:
    folder = exported.ncnn.bin.parent
    value = json.loads((folder / "export.json").read_text())
    assert value == exported.to_json()
    assert str(folder) not in json.dumps(value)


def test_a_difference_over_the_bound_fails_and_the_good_onnx_is_kept(
    onnx: OnnxFile, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    with pytest.raises(GateFailed, match="step 'simplified onnx -> ncnn' moves an output by"):
        export(onnx, onnx_crops(1), work, bound=1e-12)
    assert {path.name for path in work.iterdir()} == {"model.onnx", "export.json"}
    kept = export_onnx(onnx, onnx_crops(1), work)
    assert not kept.reused
    assert export_onnx(onnx, onnx_crops(1), work).reused
    # Another bound may hold.
    assert not export(onnx, onnx_crops(1), work).reused


def test_a_way_to_onnx_needs_no_pnnx_and_is_not_gone_twice(
    onnx: OnnxFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.delattr(export_chain, "onnx_to_ncnn")
        first = export_onnx(onnx, onnx_crops(1), tmp_path / "work")
    assert (first.failed, len(first.steps)) == (None, 1)
    crop = onnx_crops(1)[0]
    for got, wanted in zip(
        reference_outputs(first.onnx, crop), reference_outputs(onnx, crop), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5)
    monkeypatch.delattr(export_chain, "simplify_onnx")
    whole = export(onnx, onnx_crops(1), tmp_path / "work")
    assert (whole.onnx, whole.steps[:1]) == (first.onnx, first.steps)
    assert export_onnx(onnx, onnx_crops(1), tmp_path / "work").steps == first.steps


def test_why_ncnn_was_not_reached_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = foreign_int8(tmp_path / "int8.onnx")
    with pytest.raises(InputError, match=r"int8\.onnx: is an int8 network already .*QuantizeLin"):
        export(onnx, onnx_crops(1), tmp_path / "work")
    kept = reusable_onnx(tmp_path / "work", export_key(onnx, onnx_crops(1)))
    assert kept is not None
    # Not simplified: the roundings are the network.
    crop = onnx_crops(1)[0]
    np.testing.assert_array_equal(reference_outputs(kept.onnx, crop), reference_outputs(onnx, crop))
    monkeypatch.delattr(export_chain, "_Chain")
    with pytest.raises(InputError, match="is an int8 network already"):
        export(onnx, onnx_crops(1), tmp_path / "work")


def test_an_ncnn_network_passes_through(tmp_path: Path) -> None:
    files = write_pair(small_network(np.random.default_rng(0)), tmp_path)
    report = export(files, [np.zeros((3, 64, 48), np.float32)], tmp_path / "work")
    assert report.ncnn == files
    assert report.onnx is None
    assert report.steps == ()
    assert not (tmp_path / "work").exists()


def test_an_export_without_crops_is_refused(onnx: OnnxFile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one crop"):
        export(onnx, [], tmp_path / "work")


def test_a_crop_of_another_size_is_refused(onnx: OnnxFile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes an input of shape"):
        export(onnx, [np.zeros((3, 8, 8), np.float32)], tmp_path / "work")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    gone = NcnnFiles(tmp_path / "n.param", tmp_path / "n.bin", "data", ("heatmap",))
    with pytest.raises(InputError, match=r"n\.param: cannot be read"):
        export(gone, onnx_crops(1), tmp_path / "work")


def test_an_mmpose_network_goes_all_the_way(tmp_path: Path) -> None:
    mmpose_or_skip()
    import torch

    from quantkit.model.mmlab import build_pose_model, head_outputs

    source = MMPoseSource(str(write_heatmap_config(tmp_path)), None, seed=2)
    crops = [np.random.default_rng(n).normal(size=(3, 96, 64)).astype("f4") for n in range(2)]
    report = export(source, crops, tmp_path / "work")
    assert report.steps[0].name == "mmpose -> onnx"
    assert report.onnx is not None
    assert report.onnx.outputs == ("heatmap",)
    with torch.no_grad():
        (expected,) = head_outputs(build_pose_model(source), torch.from_numpy(crops[0])[None])
    (got,) = outputs_of(report, crops[0])
    expected = expected[0].numpy()
    assert np.abs(got - expected).max() < 1e-5 * np.ptp(expected)


def test_a_network_of_an_old_exporter_is_mended(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "models" / "simplepose_256x192.onnx"
    source = OnnxFile(path, "data", ("hybridsequential0_conv7_fwd",))
    crops = [np.random.default_rng(n).normal(size=(3, 256, 192)).astype("f4") for n in range(2)]
    report = export(source, crops, tmp_path / "work")
    assert any("BatchNormalization are spatial" in note for note in report.steps[0].notes)
    shipped = NcnnFiles(
        path.with_suffix(".param"), path.with_suffix(".bin"), "data", source.outputs
    )
    with open_runner("ncnn", shipped) as runner:
        (expected,) = runner.run(crops[0])
    np.testing.assert_allclose(outputs_of(report, crops[0])[0], expected, rtol=0, atol=1e-4)
