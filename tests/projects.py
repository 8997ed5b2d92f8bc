"""A small project on disk: a seeded network, pictures, and labels that the network agrees with."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.data.coco import load_dataset
from quantkit.data.images import read_image
from quantkit.data.preprocess import crop_person
from quantkit.evaluation.decode import decode, to_image
from quantkit.project import Project, load_project
from tests.nets import INPUT, OUTPUT, SIZE, small_network, write_pair

IMAGE = (120, 100)
PERSONS_PER_IMAGE = 2

PROJECT = f"""
[model]
name = "small"
[model.ncnn]
param = "model/net.param"
bin = "model/net.bin"
input = "{INPUT}"
outputs = ["{OUTPUT}"]
[input]
size = [{SIZE[0]}, {SIZE[1]}]
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
color = "rgb"
[head]
type = "heatmap"
[data.val]
annotations = "val.json"
images = "val"
[data.calibration]
annotations = "train.json"
images = "train"
"""


def small_project(folder: Path, *, images: int = 6, seed: int = 0, keypoints: int = 17) -> Project:
    """Write a project; the labels of `val` are the fp32 network's own keypoints, so its AP is 1.

    With another number of keypoints than 17 the labels are as many seeded places.
    """
    rng = np.random.default_rng(seed)
    (folder / "model").mkdir(parents=True)
    files = write_pair(small_network(rng, keypoints=keypoints), folder / "model")
    assert (files.param.name, files.bin.name) == ("net.param", "net.bin")
    count = "" if keypoints == 17 else f"[keypoints]\ncount = {keypoints}\n"
    (folder / "quantkit.toml").write_text(PROJECT + count)
    write_coco(folder, "train", rng, first_id=1, images=images, keypoints=keypoints)
    write_coco(folder, "val", rng, first_id=1001, images=images, keypoints=keypoints)
    project = load_project(folder)
    if keypoints == 17:
        _label(project)
    return project


def write_coco(
    folder: Path,
    split: str,
    rng: np.random.Generator,
    *,
    first_id: int,
    images: int,
    keypoints: int = 17,
) -> None:
    """Write pictures and their annotations, with keypoints at seeded places inside the boxes."""
    (folder / split).mkdir(exist_ok=True)
    document: dict[str, list[Any]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    for image_id in range(first_id, first_id + images):
        name = f"{image_id:06d}.png"
        coarse = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / split / name), cv2.resize(coarse, IMAGE))
        document["images"].append(
            {"id": image_id, "file_name": name, "width": IMAGE[0], "height": IMAGE[1]}
        )
        for k in range(PERSONS_PER_IMAGE):
            box = [int(v) for v in (*rng.integers(0, 40, 2), *rng.integers(40, 60, 2))]
            points = rng.uniform(0, 1, (keypoints, 2)) * box[2:] + box[:2]
            document["annotations"].append(
                {
                    "id": image_id * 10 + k,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3] * 0.6,
                    "iscrowd": 0,
                    "num_keypoints": keypoints,
                    "keypoints": [v for x, y in points.tolist() for v in (x, y, 2)],
                }
            )
    (folder / f"{split}.json").write_text(json.dumps(document))


def _label(project: Project) -> None:
    path = project.val.annotations
    document = json.loads(path.read_text())
    by_id = {one["id"]: one for one in document["annotations"]}
    model = project.root / "model"
    with NcnnNet(
        (model / "net.param").read_text(),
        (model / "net.bin").read_bytes(),
        input=INPUT,
        outputs=(OUTPUT,),
    ) as net:
        for person in load_dataset(path, project.val.images, keypoints=True).persons:
            crop = crop_person(read_image(person.image), person, project.input)
            inside, _ = decode(net.run(crop.tensor), project.head, project.input)
            points = to_image(inside, crop, project.input)
            by_id[person.annotation_id]["keypoints"] = [
                v for x, y in points.tolist() for v in (x, y, 2)
            ]
    path.write_text(json.dumps(document))


def plant_outlier(project: Project) -> int:
    """Make all calibration pictures faint but the last, and leave one person on that.

    Returns:
        The annotation of that person: no other comes near to its values.
    """
    data = project.calibration
    document = json.loads(data.annotations.read_text())
    *faint, loud = document["images"]
    for one in faint:
        path = data.images / one["file_name"]
        gentle = read_image(path).astype(np.float32) * 0.15 + 128 * 0.85
        cv2.imwrite(str(path), gentle.astype(np.uint8))
    *others, planted = document["annotations"]
    kept = [one for one in others if one["image_id"] != loud["id"]]
    for one in kept:
        # Inside the picture: what a crop shows beside it is black, which is not faint.
        one["bbox"] = [40 + 3 * (one["id"] % 10), 30, 24, 32]
    data.annotations.write_text(json.dumps({**document, "annotations": [*kept, planted]}))
    return int(planted["id"])
