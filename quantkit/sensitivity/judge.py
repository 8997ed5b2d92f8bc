"""The outputs of a network that is partly in int8, against those of fp32, as one `Effect`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.agreement import mean_and_p95
from quantkit.evaluation.ap_drop import ApDrop
from quantkit.evaluation.oks import oks
from quantkit.evaluation.placing import placed
from quantkit.evaluation.predictions import Predictions
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.signals import peak_noise_db, signal
from quantkit.sensitivity.sweep import Sweep
from quantkit.tuning.sqnr import Outputs

NOT_FINITE = "outputs that are not finite"


class Judge:
    """Compares outputs on the persons of a sweep.

    Args:
        sweep: The persons and the head.
        reference: The fp32 outputs of each.
        ap: Measure the AP, too; only of COCO's 17 keypoints.

    Raises:
        InputError: The fp32 outputs are not finite, or the head does not fit them.
    """

    def __init__(self, sweep: Sweep, reference: Sequence[Outputs], *, ap: bool = False) -> None:
        self._sweep = sweep
        self._reference = reference
        if not all(np.isfinite(one).all() for outputs in reference for one in outputs):
            message = "the fp32 outputs are not finite on a calibration crop; nothing to compare"
            raise InputError(message, path=sweep.files.param)
        self._areas = np.array([one.person.area for one in sweep.shown], np.float64)
        self._inside, self._baseline = self._read(reference)
        persons = [one.person for one in sweep.shown]
        self._ap = ApDrop(self._baseline, persons, sweep.annotations) if ap else None

    def effect(self, outputs: Sequence[Outputs]) -> Effect:
        """Compare the outputs of another network on the same persons."""
        found = signal(self._reference, outputs)
        if found is None:
            return Effect(died=NOT_FINITE)
        peaks = peak_noise_db(self._reference, outputs)
        try:
            inside, predictions = self._read(outputs)
        except NotFinite:
            # A head such as udp's finds no place for a keypoint on a heatmap of zeros.
            return Effect(found.sqnr_db, found.cosine, peak_noise_db=peaks)
        mean, most = mean_and_p95(np.linalg.norm(inside - self._inside, axis=2))
        drop, interval = self._ap.of(predictions) if self._ap else (None, None)
        return Effect(
            sqnr_db=found.sqnr_db,
            cosine=found.cosine,
            peak_shift_px=mean,
            oks_drop=self._oks_drop(predictions),
            ap_drop=drop,
            ap_drop_ci=interval,
            peak_noise_db=peaks,
            peak_shift_p95_px=most,
        )

    def _oks_drop(self, predictions: Predictions) -> float | None:
        if not self._sweep.head.has_sigmas:
            return None
        similar = oks(predictions.keypoints, self._baseline.keypoints, self._areas)
        return round(1 - float(similar.mean()), 6)

    def _read(self, outputs: Sequence[Outputs]) -> tuple[NDArray[np.float64], Predictions]:
        """Give keypoints in input pixels, shape (N, K, 2), and in the images."""
        sweep = self._sweep
        shown = ((one.person, one.crop) for one in sweep.shown)
        return placed(shown, outputs, sweep.spec, sweep.head)
