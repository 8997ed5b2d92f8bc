"""A pool of persons on small files that stand for images: only their bytes matter here."""

from pathlib import Path

from quantkit.data.coco import Person, PoseDataset


def pool(folder: Path, images: int = 4, persons: int = 3, first_id: int = 1) -> PoseDataset:
    folder.mkdir(parents=True, exist_ok=True)
    people = []
    for number in range(first_id, first_id + images):
        path = folder / f"{number:06}.jpg"
        path.write_bytes(b"image %d" % number)
        for index in range(persons):
            people.append(
                Person(
                    annotation_id=number * 10 + index,
                    image_id=number,
                    image=path,
                    file_name=path.name,
                    box=(1.0, 2.0 + index, 30.5, 40.0),
                    area=500.0,
                )
            )
    ids = tuple(range(first_id, first_id + images))
    return PoseDataset(folder.parent / "ann" / "pool.json", folder, tuple(people), ids)
