import warnings
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import InputError
from quantkit.model.mmlab import build_pose_model, head_outputs
from quantkit.model.source import MMPoseSource
from tests.mmpose_configs import HEATMAP, write_heatmap_config
from tests.oracles import mmpose_or_skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch() -> Any:
    mmpose_or_skip()
    return pytest.importorskip("torch")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_heatmap_config(tmp_path)


def test_the_network_is_mmposes_own(torch: Any, config: Path, tmp_path: Path) -> None:
    source = MMPoseSource(str(config), None, seed=3)
    model = build_pose_model(source)
    checkpoint = tmp_path / "weights.pth"
    torch.save(
        {"state_dict": model.state_dict(), "meta": {"dataset_meta": {"dataset_name": "coco"}}},
        checkpoint,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mmpose.apis import init_model

        oracle = init_model(str(config), str(checkpoint), device="cpu")
    batch = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (expected,) = [oracle(batch, None, mode="tensor")]
        ours = head_outputs(build_pose_model(MMPoseSource(str(config), checkpoint)), batch)
    assert [tuple(output.shape) for output in ours] == [(2, 17, 24, 16)]
    assert torch.equal(ours[0], expected)


def test_random_weights_follow_the_seed_alone(torch: Any, config: Path) -> None:
    def weights(seed: int) -> Any:
        torch.rand(7)
        return build_pose_model(MMPoseSource(str(config), None, seed)).state_dict()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["backbone.conv1.weight"], other["backbone.conv1.weight"])


def test_random_weights_let_the_output_depend_on_the_input(torch: Any, config: Path) -> None:
    model = build_pose_model(MMPoseSource(str(config), None))
    batch = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (heatmaps,) = head_outputs(model, batch)
    assert (heatmaps[0] - heatmaps[1]).std() > 0.1 * heatmaps.std() > 0


def test_a_checkpoint_of_another_network_is_refused(
    torch: Any, config: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pth"
    torch.save({"some.weight": torch.zeros(1)}, other)
    with pytest.raises(InputError, match=r"other\.pth: does not fit .*lacks 'backbone\.conv1"):
        build_pose_model(MMPoseSource(str(config), other))


def test_a_weight_of_another_shape_is_refused(torch: Any, config: Path, tmp_path: Path) -> None:
    weights = build_pose_model(MMPoseSource(str(config), None)).state_dict()
    weights["backbone.conv1.weight"] = torch.zeros(9, 3, 7, 7)
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: does not fit .*size mismatch"):
        build_pose_model(MMPoseSource(str(config), tmp_path / "w.pth"))


def test_a_config_that_mmpose_cannot_build_is_named(tmp_path: Path) -> None:
    mmpose_or_skip()
    path = tmp_path / "broken.py"
    path.write_text(HEATMAP.replace("'ResNet'", "'NoSuchNet'"))
    with pytest.raises(InputError, match=r"broken\.py: mmpose cannot build its model"):
        build_pose_model(MMPoseSource(str(path), None))
