"""Networks that take gray, channels-last or integer images, from `init` to the rows of `eval`."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from quantkit.backends.process import open_runner
from quantkit.data.coco import load_dataset
from quantkit.data.images import read_image
from quantkit.data.preprocess import crop_person
from quantkit.progress import Feedback
from quantkit.project import load_project
from quantkit.project.evaluating import evaluate_backends
from quantkit.project.exporting import export_model
from quantkit.project.starting import Answers, start_from_onnx
from tests.onnx_nets import image_net
from tests.projects import write_coco

FORMS = [
    pytest.param([1, 1, 64, 48], TensorProto.FLOAT, id="gray"),
    pytest.param([1, 64, 48, 3], TensorProto.FLOAT, id="channels last"),
    pytest.param(
        ["n", "h", "w", 1], TensorProto.UINT8, id="gray pixels of any size, channels last"
    ),
    pytest.param([1, 3, 64, 48], TensorProto.FLOAT16, id="float16"),
    pytest.param([1, 3, 64, 48], TensorProto.DOUBLE, id="double"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("dims", "type"), FORMS)
def test_a_network_of_another_image_is_evaluated(
    tmp_path: Path, dims: list[int | str], type: int
) -> None:
    file = image_net(tmp_path / "m.onnx", dims, {"hm": (17, 4)}, type=type)
    rng = np.random.default_rng(0)
    write_coco(tmp_path, "train", rng, first_id=1, images=3)
    write_coco(tmp_path, "val", rng, first_id=1001, images=2)
    gray = 1 in dims[1:]
    answers = Answers((48, 64), (100.0,) * 3, (50.0,) * 3, None if gray else "rgb")
    if type == TensorProto.UINT8:
        answers = replace(answers, mean=None, std=None)
    text = start_from_onnx(file.path, tmp_path, answers).text()
    text = text.replace("annotations/person_keypoints_val2017", "val").replace("val2017", "val")
    text = text.replace("annotations/person_keypoints_train2017", "train")
    (tmp_path / "quantkit.toml").write_text(text.replace("train2017", "train"))
    project = load_project(tmp_path)

    # What onnxruntime makes of the file as it is, from pixels that OpenCV brings into its form.
    person = load_dataset(project.val.annotations, project.val.images, keypoints=False).persons[0]
    image = read_image(person.image)
    crop = crop_person(image, person, project.input)
    order = cv2.COLOR_BGR2GRAY if gray else cv2.COLOR_BGR2RGB
    shown = np.atleast_3d(cv2.cvtColor(image, order))
    plain = replace(project.input, color="bgr", mean=(0.0,) * 3, std=(1.0,) * 3)
    repeated = np.repeat(shown, 3, axis=2) if gray else shown
    pixels = crop_person(np.ascontiguousarray(repeated), person, plain).pixels
    mean, std = (0, 1) if type == TensorProto.UINT8 else (100, 50)
    tensor = (pixels[: 1 if gray else 3].astype(np.float32) - mean) / std
    last = dims[1] not in (1, 3)
    fed = tensor.transpose(1, 2, 0) if last else tensor
    session = onnxruntime.InferenceSession(str(file.path))
    dtype = onnx.helper.tensor_dtype_to_np_dtype(type)
    (expected,) = session.run(None, {"image": fed[None].astype(dtype)})
    expected = expected[0].transpose(2, 0, 1) if last else expected[0]

    exported = export_model(project, Feedback())
    assert exported.onnx is not None
    for name, artifact in (("onnxruntime", exported.onnx), ("ncnn", exported.ncnn)):
        with open_runner(name, artifact, threads=1) as runner:  # type: ignore[arg-type]
            (got,) = runner.run(crop.tensor)
        bound = 1e-2 if type == TensorProto.FLOAT16 else 1e-4
        np.testing.assert_allclose(got, expected, atol=bound * np.abs(expected).max())
    if not gray:
        return
    rows = evaluate_backends(
        project,
        backends=["onnxruntime", "ncnn", "ncnn-int8"],
        labels=False,
        table="kl",
        feedback=Feedback(),
    ).rows
    assert [row.status for row in rows] == ["ok"] * 3
