from pathlib import Path

import onnx
import pytest

from quantkit.backends.export_key import export_key, source_content
from quantkit.errors import InputError
from quantkit.model.source import MMPoseSource, OnnxFile
from tests.onnx_nets import small_onnx


def test_weights_in_a_file_of_their_own_are_part_of_the_network(tmp_path: Path) -> None:
    whole = small_onnx(tmp_path / "whole.onnx")
    split = OnnxFile(tmp_path / "split.onnx", whole.input, whole.outputs)
    onnx.save(
        onnx.load(whole.path),
        split.path,
        save_as_external_data=True,
        location="split.onnx.data",
        size_threshold=0,
    )
    before, graph = source_content(split), split.path.read_bytes()
    data = tmp_path / "split.onnx.data"
    data.write_bytes(bytes(len(data.read_bytes())))
    assert split.path.read_bytes() == graph
    assert source_content(split) != before
    data.unlink()
    with pytest.raises(InputError, match=r"split\.onnx\.data: cannot be read"):
        source_content(split)


def test_a_file_that_is_no_onnx_is_left_to_the_conversion(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("text")
    assert source_content(OnnxFile(tmp_path / "text.onnx", "x", ("y",)))[0] == "onnx"


def test_the_opset_that_was_chosen_is_part_of_the_network(tmp_path: Path) -> None:
    config = tmp_path / "net.py"
    config.write_text("x = 1\n")
    keys = [export_key(MMPoseSource(str(config), None, opset=x), []) for x in (None, 13, 17)]
    assert len(set(keys)) == 3
