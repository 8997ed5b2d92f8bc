"""The held-out crops, and what int8 networks lose on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from quantkit.data.preprocess import crops
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.ap_drop import ApDrop
from quantkit.evaluation.oks import oks
from quantkit.evaluation.placing import placed
from quantkit.evaluation.predictions import Predictions
from quantkit.model.network import Network
from quantkit.stability.task import CurveTask
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs, worst_db


class Judges:
    """The held-out crops, in memory, with the outputs of the fp32 network.

    Args:
        task: Names the persons.
        network: The fp32 network.

    Raises:
        InputError: An image cannot be read, the fp32 outputs are not finite, or the head does not
            fit them.
    """

    def __init__(self, task: CurveTask, network: Network) -> None:
        self._task = task
        self._crops = list(crops(task.judges, task.spec))
        self._reference = self.outputs(network)
        if not all(np.isfinite(one).all() for outputs in self._reference for one in outputs):
            message = "the fp32 outputs are not finite on a held-out crop; nothing to compare"
            raise InputError(message, path=task.files.param)
        self._areas = np.array([person.area for person in task.judges], np.float64)
        self._baseline = self._keypoints(self._reference)
        # OKS and AP need the sigmas of COCO's keypoints.
        scored = task.head.has_sigmas
        self._ap = ApDrop(self._baseline, task.judges, task.labels) if scored else None

    @property
    def fp32_ap(self) -> float | None:
        """AP of the fp32 network; None for any number of keypoints but COCO's 17."""
        return None if self._ap is None else round(self._ap.ap, 6)

    def outputs(self, network: Network) -> list[Outputs]:
        """Run a network on the crops."""
        files, threads = self._task.files, self._task.threads
        tensors = [crop.tensor for crop in self._crops]
        return outputs_on(network, files.input, files.outputs, tensors, threads)

    def figures(self, network: Network) -> dict[str, Any]:
        """Measure an int8 network: the figures of a `Point` that judge it."""
        outputs = self.outputs(network)
        figures = {"oks": None, "ap_drop": None, "ap_drop_ci": None}
        try:
            predictions = self._keypoints(outputs)
        except NotFinite:
            return {"sqnr_db": between(self._reference, outputs), **figures}
        if self._ap is None:
            return {"sqnr_db": between(self._reference, outputs), **figures}
        similar = oks(predictions.keypoints, self._baseline.keypoints, self._areas)
        drop, interval = self._ap.of(predictions)
        return {
            "sqnr_db": between(self._reference, outputs),
            "oks": round(float(similar.mean()), 6),
            "ap_drop": drop,
            "ap_drop_ci": interval,
        }

    def _keypoints(self, outputs: Sequence[Outputs]) -> Predictions:
        task = self._task
        shown = zip(task.judges, self._crops, strict=True)
        return placed(shown, outputs, task.spec, task.head)[1]


def between(reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> float | None:
    """Give the SQNR of the worst output in dB, or None where it is not finite."""
    found = worst_db(reference, outputs)
    return round(found, 4) if np.isfinite(found) else None
