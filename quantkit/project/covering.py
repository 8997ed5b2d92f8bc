"""What a calibration set covers of those whom it was chosen from."""

from collections.abc import Mapping, Sequence
from typing import Any

from quantkit.project.candidates import ProjectCandidates
from quantkit.selection.activations_coverage import range_coverage
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.traits_coverage import coverage_of
from quantkit.tuning.sqnr import decibels_json


def covers(candidates: ProjectCandidates, chosen: CalibrationSet) -> Mapping[str, Any]:
    """Say what of the candidates a set covers, as its manifest does.

    Returns:
        Ready for JSON: traits; the ranges of the network's blobs, where it decided; and what the
        set's table leaves of the outputs, where that did.
    """
    ids = {entry.annotation_id for entry in chosen.entries}
    places = [k for k, person in enumerate(candidates.persons) if person.annotation_id in ids]
    found: dict[str, Any] = {"traits": _traits(candidates, places)}
    if candidates.request.runs_network:
        found["ranges"] = _ranges(candidates, places)
    if candidates.request.measures:
        (decibels,) = candidates.judged([places])
        found["sqnr_db"] = decibels_json(decibels, 2)
    return found


def _traits(candidates: ProjectCandidates, places: Sequence[int]) -> Mapping[str, Any]:
    seen = candidates.request.sees_images
    counted = coverage_of(candidates.traits if seen else candidates.by_boxes, places)
    return {name: strata for name, strata in counted.items() if set(strata) != {"unknown"}}


def _ranges(candidates: ProjectCandidates, places: Sequence[int]) -> Mapping[str, Any]:
    """Compare with those who may be chosen."""
    allowed = candidates.allowed_places
    chosen = [allowed.index(place) for place in places]
    return range_coverage(candidates.observed.activations.take(allowed), chosen)
