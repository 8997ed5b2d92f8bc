"""The calibration set as a file: which persons, of which images, chosen how."""

from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from quantkit.errors import InputError
from quantkit.selection.manifest_fields import Fields
from quantkit.storage import json_text, read_json, sha256_bytes, write_result

SCHEMA: Final = 1

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Entry:
    """One person of a calibration set.

    Attributes:
        annotation_id: Id of the annotation.
        image_id: Id of the image.
        file_name: The image, relative to the images folder.
        box: x1, y1, x2, y2 in pixels, clipped to the image.
        sha256: Hash of the image file.
    """

    annotation_id: int
    image_id: int
    file_name: str
    box: Box
    sha256: str


@dataclass(frozen=True)
class CalibrationSet:
    """The persons that calibrate a network, and how they were chosen.

    Attributes:
        name: Name of the set.
        method: Strategy that chose it.
        seed: Seed of the choice.
        count: How many persons were asked for.
        annotations: The annotation file, relative to the project.
        images: The folder of the images, relative to the project.
        entries: The persons, in the order of the annotation file.

    Example:
        >>> import json
        >>> entry = Entry(7, 1, "a.jpg", (0.0, 0.0, 9.0, 19.0), "0" * 64)
        >>> chosen = CalibrationSet("one", "first", 0, 1, "a.json", "images", (entry,))
        >>> parse_calibration_set(json.loads(chosen.text())) == chosen
        True
    """

    name: str
    method: str
    seed: int
    count: int
    annotations: str
    images: str
    entries: tuple[Entry, ...]

    def text(self) -> str:
        """Write the manifest: the same set always gives the same bytes."""
        return json_text({"schema": SCHEMA, **asdict(self)})

    @property
    def sha256(self) -> str:
        """Hash of the manifest's text."""
        return sha256_bytes(self.text().encode())


def read_calibration_set(path: Path) -> CalibrationSet:
    """Read a manifest.

    Raises:
        InputError: It is missing or not a manifest; the entry and the field are named.
    """
    return parse_calibration_set(read_json(path), path)


def write_calibration_set(chosen: CalibrationSet, path: Path, *, overwrite: bool = False) -> None:
    """Write a manifest, whole or not at all.

    Raises:
        InputError: A different one lies there and `overwrite` is false, or writing failed.
    """
    write_result(path, chosen.text(), overwrite=overwrite)


def parse_calibration_set(document: object, path: Path | None = None) -> CalibrationSet:
    """Check and take over what a manifest's JSON holds.

    Args:
        document: The parsed JSON.
        path: Where it was read, for the error messages.

    Raises:
        InputError: As for `read_calibration_set`.
    """
    names = ("schema", *CalibrationSet.__dataclass_fields__)
    fields = Fields(document, "the manifest", path, names)
    if fields.integer("schema") != SCHEMA:
        wanted = f"{SCHEMA}; select the set again with this version"
        raise fields.error(wanted, "schema")
    chosen = CalibrationSet(
        name=fields.text("name"),
        method=fields.text("method"),
        seed=fields.integer("seed"),
        count=fields.integer("count"),
        annotations=_inside(fields, "annotations"),
        images=_inside(fields, "images"),
        entries=tuple(
            _parse_entry(item, i, path) for i, item in enumerate(fields.items("entries"))
        ),
    )
    _check_entries(chosen, path)
    return chosen


def _parse_entry(item: object, index: int, path: Path | None) -> Entry:
    fields = Fields(item, f"entry {index}", path, tuple(Entry.__dataclass_fields__))
    return Entry(
        annotation_id=fields.integer("annotation_id"),
        image_id=fields.integer("image_id"),
        file_name=_inside(fields, "file_name"),
        box=fields.box("box"),
        sha256=fields.sha256("sha256"),
    )


def _inside(fields: Fields, name: str) -> str:
    value = fields.text(name)
    path = PurePosixPath(value.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        wanted = "a relative path that stays inside its folder"
        raise fields.error(wanted, name)
    return value


def _check_entries(chosen: CalibrationSet, path: Path | None) -> None:
    if not chosen.entries:
        message = "holds no entries; a calibration set needs at least one person"
        raise InputError(message, path=path)
    seen: dict[int, int] = {}
    hashes: dict[str, str] = {}
    for index, entry in enumerate(chosen.entries):
        if entry.annotation_id in seen:
            message = (
                f"entry {index}: annotation {entry.annotation_id} is entry"
                f" {seen[entry.annotation_id]} already; remove one"
            )
            raise InputError(message, path=path)
        seen[entry.annotation_id] = index
        if hashes.setdefault(entry.file_name, entry.sha256) != entry.sha256:
            message = f"entry {index}: '{entry.file_name}' has another sha256 in an entry above"
            raise InputError(message, path=path)
