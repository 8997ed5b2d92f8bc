"""The registry of strategies, and the step from a pool of persons to a calibration set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import quantkit
from quantkit.data.coco import Person, PoseDataset
from quantkit.data.images import read_whole
from quantkit.errors import InputError
from quantkit.selection import (
    coverage,
    first,
    herding,
    influence,
    k_center,
    measured,
    random,
    stratified,
)
from quantkit.selection.candidates import Candidates, Strategy
from quantkit.selection.candidates_hash import candidates_hash
from quantkit.selection.manifest import CalibrationSet, Entry, Refused
from quantkit.storage import sha256_bytes

StrategyName = Literal[
    "first",
    "random",
    "stratified",
    "k_center",
    "herding",
    "coverage",
    "influence",
    "measured",
]

STRATEGIES: Final[Mapping[StrategyName, Strategy]] = {
    "first": first.choose,
    "random": random.choose,
    "stratified": stratified.choose,
    "k_center": k_center.choose,
    "herding": herding.choose,
    "coverage": coverage.choose,
    "influence": influence.choose,
    "measured": measured.choose,
}
"""Strategy by name: candidates, count and seed in, ascending indices of the chosen ones out."""

OF_IMAGES: Final = ("stratified",)
"""The strategies that look at the images."""

OF_NETWORK: Final = ("k_center", "herding", "coverage", "influence", "measured")
"""The strategies that look at what the network does."""

JUDGED: Final = ("measured",)
"""The strategies that calibrate with sets and judge them."""


def strategy_named(name: str) -> Strategy:
    """Find a strategy.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> strategy_named("best")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        quantkit.errors.InputError: there is no strategy 'best'; there are first, random, ...
    """
    for known, strategy in STRATEGIES.items():
        if known == name:
            return strategy
    raise InputError(f"there is no strategy '{name}'; there are {', '.join(STRATEGIES)}")


def select(
    dataset: PoseDataset,
    strategy: str,
    count: int,
    seed: int = 0,
    *,
    candidates: Candidates | None = None,
    refused: Sequence[Refused] = (),
    name: str | None = None,
    root: Path | None = None,
    **origin: Any,
) -> CalibrationSet:
    """Choose the persons that calibrate a network.

    Args:
        dataset: The pool.
        strategy: A key of `STRATEGIES`.
        count: How many persons.
        seed: Seed of the choice.
        candidates: Those of the pool who may be chosen, with what the strategy looks at; by
            default all of them, for a strategy that looks at neither images nor network.
        refused: Those who may not, each with the reason.
        name: Name of the set; by default strategy, count and seed.
        root: Folder that the manifest names the data relative to; data that lies elsewhere is
            named by its last part alone, so that no manifest holds a machine's paths.
        origin: `parameters`, `model_sha256`, `preprocess` and `versions` of the manifest.

    Raises:
        InputError: There is no such strategy, there are too few candidates or `count` is not
            positive, or an image cannot be read or is truncated.
    """
    choose = strategy_named(strategy)
    candidates = candidates or Candidates(dataset.persons)
    _check_count(dataset, count, len(candidates.persons))
    chosen = [candidates.persons[index] for index in choose(candidates, count, seed)]
    images = dict.fromkeys(one.image for one in chosen)
    # A manifest that names a truncated image would stand in the way of the one that replaces it.
    hashes = {path: sha256_bytes(read_whole(path)) for path in images}
    given: dict[str, Any] = {"versions": {"quantkit": quantkit.__version__}, **origin}
    return CalibrationSet(
        name=name or f"{strategy}-{count}-seed{seed}",
        strategy=strategy,
        seed=seed,
        count=count,
        annotations=_relative(dataset.annotations, root),
        images=_relative(dataset.images, root),
        candidates=len(dataset.persons),
        candidates_sha256=candidates_hash(dataset.persons),
        refused=tuple(refused),
        entries=tuple(_entry(person, hashes[person.image]) for person in chosen),
        **given,
    )


def _check_count(dataset: PoseDataset, count: int, there: int) -> None:
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
