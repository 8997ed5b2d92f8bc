"""How many persons a calibration set is chosen to hold, given those who may be chosen."""

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError
from quantkit.project.candidates import ProjectCandidates


def refuse_more_than_there_are(pool: PoseDataset, asked: int | None) -> None:
    """Refuse to choose more persons than a pool holds, before anything is made of them.

    Raises:
        InputError: More are asked for.
    """
    there = len(pool.persons)
    if asked is not None and asked > there:
        raise _too_many(pool, asked, f"there are {there}; give --count {there}")


def set_size(candidates: ProjectCandidates, asked: int | None) -> int:
    """Say how many persons to choose: where no number is asked for, no more than are allowed.

    Args:
        candidates: Whom to choose from.
        asked: How many are asked for.

    Raises:
        InputError: More are asked for than are allowed, for outliers are refused.
    """
    there, refused = len(candidates.persons), len(candidates.outliers)
    allowed, wanted = there - refused, candidates.request.count
    assert wanted is not None
    if asked is None:
        return min(wanted, allowed)
    if refused and asked > allowed:
        more = " or a larger --among" if there < len(candidates.pool.persons) else ""
        are = "is an outlier" if refused == 1 else "are outliers"
        why = f"{allowed} may be chosen: {refused} of {there} {are}; give --count {allowed}{more}"
        raise _too_many(candidates.pool, asked, why)
    return asked


def _too_many(pool: PoseDataset, asked: int, why: str) -> InputError:
    return InputError(f"{asked} persons are asked for, but {why}", path=pool.annotations)
