from pathlib import Path

import numpy as np
import pytest

from quantkit.evaluation.decode import decode
from quantkit.sensitivity.judge import Judge
from tests.sensitivity.small_sweeps import small_sweep


@pytest.mark.parametrize("count", [5, 17, 21, 133])
def test_keypoints_of_any_number_are_compared_in_input_pixels(tmp_path: Path, count: int) -> None:
    sweep = small_sweep(tmp_path, persons=3, layers=["head"], keypoints=count)
    rng = np.random.default_rng(count)
    maps = rng.normal(size=(2, 3, count, 16, 12)).astype(np.float32)
    reference, got = ([(one,) for one in outputs] for outputs in maps)
    effect = Judge(sweep, reference).effect(got)
    before, after = (
        np.array([decode(one, sweep.head, sweep.spec)[0] for one in outputs], np.float64)
        for outputs in (reference, got)
    )
    distances = np.sqrt(((before - after) ** 2).sum(axis=2))
    assert effect.peak_shift_px == pytest.approx(distances.mean(), abs=1e-4)
    assert effect.peak_shift_p95_px == pytest.approx(np.quantile(distances, 0.95), abs=1e-4)
    assert (effect.oks_drop is None) == (count != 17)
    assert effect.ap_drop is None
