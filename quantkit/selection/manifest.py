"""The calibration set as a file: which persons, of which images, chosen how and out of whom."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.selection.manifest_fields import Fields, Scalar
from quantkit.storage import json_value, read_json, sha256_bytes, write_result

SCHEMA: Final = 2

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
class Refused:
    """One person that a strategy was not allowed to choose.

    Attributes:
        annotation_id: Id of the annotation.
        file_name: The image, relative to the images folder.
        reason: Why.
    """

    annotation_id: int
    file_name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """The persons that calibrate a network, and how they were chosen.

    Attributes:
        name: Name of the set.
        strategy: Strategy that chose it.
        parameters: What the strategy was told beside the seed and the count.
        seed: Seed of the choice.
        count: How many persons were asked for.
        annotations: The annotation file, relative to the project.
        images: The folder of the images, relative to the project.
        candidates: How many persons there were to choose from.
        candidates_sha256: `quantkit.selection.candidates_hash.candidates_hash` of them.
        model_sha256: Hash of the network whose activations decided; None where none did.
        preprocess: The `InputSpec` that made crops of the candidates, as JSON values; empty where
            no crop was made.
        versions: Version by package that had a part in the choice.
        covers: What of the pool the set covers, as JSON values.
        refused: Who was not allowed into it.
        entries: The persons, in the order of the annotation file.

    Example:
        >>> entry = Entry(7, 1, "a.jpg", (0.0, 0.0, 9.0, 19.0), "0" * 64)
        >>> chosen = CalibrationSet(
        ...     name="one", strategy="first", seed=0, count=1, annotations="a.json",
        ...     images="images", candidates=3, candidates_sha256="1" * 64, entries=(entry,),
        ... )
        >>> parse_calibration_set(json.loads(chosen.text())) == chosen
        True
        >>> len([line for line in chosen.text().splitlines() if "a.jpg" in line])
        1
    """

    name: str
    strategy: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    seed: int
    count: int
    annotations: str
    images: str
    candidates: int
    candidates_sha256: str
    model_sha256: str | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    covers: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        # As they are read back, so that a set and its file are equal: lists instead of tuples.
        for name in ("parameters", "preprocess", "versions", "covers"):
            object.__setattr__(self, name, json_value(dict(getattr(self, name))))

    def text(self) -> str:
        """Write the manifest, a line for each person: the same set always gives the same bytes."""
        return _text({"schema": SCHEMA, **asdict(self)})

    @property
    def sha256(self) -> str:
        """Hash of the manifest's text."""
        return sha256_bytes(self.text().encode())

    def without_versions(self) -> "CalibrationSet":
        """Leave out what may differ between two machines that made the same choice."""
        return replace(self, versions={})


def read_calibration_set(path: Path) -> CalibrationSet:
    """Read a manifest.

    Raises:
        InputError: It is missing or not a manifest; the entry and the field are named.
    """
    return parse_calibration_set(read_json(path), path)


def write_calibration_set(
    chosen: CalibrationSet, path: Path, *, overwrite: bool = False
) -> CalibrationSet:
    """Write a manifest, whole or not at all.

    One that other versions of the packages wrote, equal in all else, is left as it is: tables that
    name its hash stay valid after an update.

    Returns:
        The set as it lies on disk now.

    Raises:
        InputError: A different one lies there and `overwrite` is false, or writing failed.
    """
    there = _same_but_for_versions(chosen, path)
    if there is not None:
        return there
    write_result(path, chosen.text(), overwrite=overwrite)
    return chosen


def parse_calibration_set(document: object, path: Path | None = None) -> CalibrationSet:
    """Check and take over what a manifest's JSON holds.

    Args:
        document: The parsed JSON.
        path: Where it was read, for the error messages.

    Raises:
        InputError: As for `read_calibration_set`.
    """
    if isinstance(document, dict) and document.get("schema", SCHEMA) != SCHEMA:
        got = repr(document["schema"])[:60]
        message = f"the manifest: 'schema' must be {SCHEMA}, got {got}; select the set again"
        raise InputError(message, path=path)
    names = ("schema", *CalibrationSet.__dataclass_fields__)
    fields = Fields(document, "the manifest", path, names)
    fields.integer("schema")
    chosen = CalibrationSet(
        name=fields.text("name"),
        strategy=fields.text("strategy"),
        parameters=fields.scalars("parameters"),
        seed=fields.integer("seed"),
        count=fields.integer("count"),
        annotations=_inside(fields, "annotations"),
        images=_inside(fields, "images"),
        candidates=fields.integer("candidates"),
        candidates_sha256=fields.sha256("candidates_sha256"),
        model_sha256=None if fields.is_null("model_sha256") else fields.sha256("model_sha256"),
        preprocess=fields.json_object("preprocess"),
        versions=fields.texts("versions"),
        covers=fields.json_object("covers"),
        refused=tuple(
            _parse_refused(item, i, path) for i, item in enumerate(fields.items("refused"))
        ),
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


def _parse_refused(item: object, index: int, path: Path | None) -> Refused:
    fields = Fields(item, f"refused {index}", path, tuple(Refused.__dataclass_fields__))
    return Refused(
        annotation_id=fields.integer("annotation_id"),
        file_name=_inside(fields, "file_name"),
        reason=fields.text("reason"),
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
    if chosen.candidates < len(chosen.entries):
        message = f"holds {len(chosen.entries)} entries out of {chosen.candidates} candidates"
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


def _same_but_for_versions(chosen: CalibrationSet, path: Path) -> CalibrationSet | None:
    if not path.is_file():
        return None
    try:
        there = read_calibration_set(path)
    except InputError:
        return None
    return there if there.without_versions() == chosen.without_versions() else None


def _text(document: Mapping[str, Any]) -> str:
    values = (
        f" {json.dumps(name)}: {_rows(value) if isinstance(value, tuple) else _nested(value)}"
        for name, value in document.items()
    )
    return "{\n" + ",\n".join(values) + "\n}\n"


def _rows(items: Sequence[Mapping[str, Any]]) -> str:
    rows = (json.dumps(item, ensure_ascii=False, allow_nan=False) for item in items)
    return "[\n  " + ",\n  ".join(rows) + "\n ]" if items else "[]"


def _nested(value: object, indent: str = "  ") -> str:
    """Write a line for each innermost object, so that a difference shows what it is in."""
    if not isinstance(value, Mapping) or not any(isinstance(v, Mapping) for v in value.values()):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    rows = (f"{json.dumps(name)}: {_nested(one, indent + ' ')}" for name, one in value.items())
    return f"{{\n{indent}" + f",\n{indent}".join(rows) + f"\n{indent[:-1]}}}"
