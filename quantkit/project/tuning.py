"""The material of the recipe `best`: which crops choose and which judge."""

from collections.abc import Sequence

import numpy as np

from quantkit.data.coco import Person
from quantkit.data.preprocess import crops
from quantkit.journal import Journal
from quantkit.model.network import Network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.tuning.recipe import Material, Recipe, Tuned
from quantkit.tuning.tune import tune

_SEARCH = 8
_HELD_OUT = 16


def tuned_table(
    project: Project,
    network: Network,
    fp32: NcnnFiles,
    persons: Sequence[Person],
    recipe: Recipe,
    *,
    threads: int,
    feedback: Feedback,
) -> Tuned:
    """Take the steps of a recipe on the crops of a calibration set.

    Args:
        project: The project.
        network: The exported fp32 network.
        fp32: Its files.
        persons: The calibration set.
        recipe: Which steps are taken.
        threads: Worker threads.
        feedback: Told how it goes.

    Raises:
        InputError: A crop or the network cannot be used.
    """
    search, held_out = judges(len(persons))
    journal = Journal(project.work_dir / "best.jsonl")
    material = Material(
        network=network,
        input=fp32.input,
        outputs=fp32.outputs,
        crops=lambda: (crop.tensor for crop in crops(persons, project.input)),
        total=len(persons),
        search=[crop.tensor for crop in crops([persons[k] for k in search], project.input)],
        held_out=[crop.tensor for crop in crops([persons[k] for k in held_out], project.input)],
        threads=threads,
        journal=journal,
        feedback=feedback,
    )
    found = tune(material, recipe)
    journal.remove()
    return found


def judges(count: int) -> tuple[list[int], list[int]]:
    """Draw which crops choose and which judge; a set of one does both.

    Example:
        >>> search, held_out = judges(128)
        >>> len(search), len(held_out), set(search) & set(held_out)
        (8, 16, set())
    """
    order = np.random.default_rng(0).permutation(count)
    first = min(_SEARCH, max(1, count // 3))
    search, held_out = order[:first], order[first : first + _HELD_OUT]
    chosen = held_out if len(held_out) else search
    return sorted(map(int, search)), sorted(map(int, chosen))
