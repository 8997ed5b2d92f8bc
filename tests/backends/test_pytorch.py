from pathlib import Path

import numpy as np
import pytest

from quantkit.backends import open_runner
from quantkit.model.source import MMPoseSource
from tests.mmpose_configs import write_heatmap_config
from tests.oracles import mmpose_or_skip

pytestmark = [pytest.mark.slow, pytest.mark.backend]


@pytest.fixture(scope="module", autouse=True)
def _mmpose() -> None:
    mmpose_or_skip()


def test_it_runs_mmposes_network_without_the_flip_test(tmp_path: Path) -> None:
    import torch

    from quantkit.model.mmlab import build_pose_model

    source = MMPoseSource(str(write_heatmap_config(tmp_path)), None, seed=5)
    crops = [np.random.default_rng(n).normal(size=(3, 96, 64)).astype("f4") for n in range(2)]
    with torch.no_grad():
        expected = build_pose_model(source)(torch.from_numpy(np.stack(crops)), None, mode="tensor")
    with open_runner("pytorch", source, threads=1) as runner:
        assert runner.input_shape == (3, 96, 64)
        assert runner.outputs == ("heatmap",)
        got = list(runner.stream(crops))
    for (heatmap,), wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(heatmap, wanted, rtol=0, atol=1e-4)
