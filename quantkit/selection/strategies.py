"""The registry of strategies, and the step from a pool of persons to a calibration set."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import quantkit
from quantkit.data.coco import Person, PoseDataset
from quantkit.data.images import read_whole
from quantkit.errors import InputError
from quantkit.selection import first, random
from quantkit.selection.candidates_hash import candidates_hash
from quantkit.selection.manifest import CalibrationSet, Entry
from quantkit.storage import sha256_bytes

MethodName = Literal["random", "first"]
Strategy = Callable[[Sequence[Person], int, int], list[int]]

METHODS: Final[Mapping[MethodName, Strategy]] = {"random": random.choose, "first": first.choose}
"""Strategy by name: persons, count and seed in, ascending indices of the chosen persons out."""

DEFAULT_COUNT: Final = 128


def select(
    dataset: PoseDataset,
    method: str = "random",
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    *,
    name: str | None = None,
    root: Path | None = None,
) -> CalibrationSet:
    """Choose the persons that calibrate a network.

    Args:
        dataset: The pool.
        method: A key of `METHODS`.
        count: How many persons.
        seed: Seed of the choice.
        name: Name of the set; by default method, count and seed.
        root: Folder that the manifest names the data relative to; data that lies elsewhere is
            named by its last part alone, so that no manifest holds a machine's paths.

    Raises:
        InputError: There is no such method, the pool is too small or `count` is not positive, or
            an image cannot be read or is truncated.
    """
    strategy = {str(key): value for key, value in METHODS.items()}.get(method)
    if strategy is None:
        message = f"there is no selection method '{method}'; there are {', '.join(METHODS)}"
        raise InputError(message)
    _check_count(dataset, count)
    chosen = [dataset.persons[index] for index in strategy(dataset.persons, count, seed)]
    images = dict.fromkeys(one.image for one in chosen)
    # A manifest that names a truncated image would stand in the way of the one that replaces it.
    hashes = {path: sha256_bytes(read_whole(path)) for path in images}
    return CalibrationSet(
        name=name or f"{method}-{count}-seed{seed}",
        strategy=method,
        seed=seed,
        count=count,
        annotations=_relative(dataset.annotations, root),
        images=_relative(dataset.images, root),
        candidates=len(dataset.persons),
        candidates_sha256=candidates_hash(dataset.persons),
        versions={"quantkit": quantkit.__version__},
        entries=tuple(_entry(person, hashes[person.image]) for person in chosen),
    )


def _check_count(dataset: PoseDataset, count: int) -> None:
    there = len(dataset.persons)
    if count < 1:
        message = f"a calibration set needs at least one person, got a count of {count}"
        raise InputError(message)
    if count > there:
        message = f"{count} persons are asked for, but there are {there}; give --count {there}"
        raise InputError(message, path=dataset.annotations)


def _entry(person: Person, sha256: str) -> Entry:
    return Entry(person.annotation_id, person.image_id, person.file_name, person.box, sha256)


def _relative(path: Path, root: Path | None) -> str:
    there, base = path.resolve(), None if root is None else root.resolve()
    if base is not None and there.is_relative_to(base):
        return there.relative_to(base).as_posix()
    return path.name
