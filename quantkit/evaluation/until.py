"""When enough images were looked at to tell whether a drop is within a bound.

The drop is looked at several times on growing data, and every look is another chance to be wrong:
the 5 % are shared among the looks (Bonferroni), so that all of them together are right in 95 %.
Resampling cannot know of a failure that it has not met. One that strikes a share r of the images
costs up to 2 r (a person is missed, and a wrong answer ranks above right ones), and 3 / r images
meet it in 95 % of the samples (the rule of three, -ln 0.05 / r). So no drop is called within a
bound before 6 / bound images with labels, but for the end of the data; over it is said at any time.
"""

import math
from typing import Final

import numpy as np

from quantkit.data.coco import PoseDataset
from quantkit.evaluation.bootstrap import drop_interval
from quantkit.evaluation.matches import Matches

_FIRST: Final = 64
_ERROR: Final = 0.05
_IMAGES_TIMES_BOUND: Final = 6


def growing_parts(dataset: PoseDataset, *, first: int = _FIRST, seed: int = 0) -> list[PoseDataset]:
    """Parts of a data set, each with twice the images of the one before; the last is all of it.

    Args:
        dataset: The persons.
        first: Images in the first part.
        seed: Of the order in which images join: a file's own order may follow its content.
    """
    order = np.random.default_rng(seed).permutation(dataset.image_ids).tolist()
    looks = max(0, math.ceil(math.log2(len(order) / first)))
    parts = [dataset.subset(order[: first << look]) for look in range(looks)]
    return [*(part for part in parts if part.persons), dataset]


def is_within(
    baseline: Matches, other: Matches, bound: float, *, looks: int, last: bool
) -> bool | None:
    """Tell whether a network loses at most `bound` AP against the baseline.

    Args:
        baseline: Matches of the baseline.
        other: Matches of the other network on the same images.
        bound: The largest drop that is accepted.
        looks: How many times it may be asked while the data grows.
        last: Whether these are all images that there are.

    Returns:
        True or False where the interval lies on one side of the bound, None where it does not, or
        where the images are too few to call the drop within it.
    """
    labelled = np.count_nonzero(baseline.positives)
    if not labelled:
        return None
    low, high = drop_interval(baseline, other, level=1 - _ERROR / looks)
    if low > bound:
        return False
    enough = last or labelled * bound >= _IMAGES_TIMES_BOUND
    return True if high <= bound and enough else None
