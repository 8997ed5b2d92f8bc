"""The demo's network: its config, its checkpoint, and that training makes it better."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.demo.network import CHECKPOINT, CONFIG, build_network, write_checkpoint
from quantkit.demo.samples import draw_batch, render_samples
from quantkit.demo.train import train
from quantkit.demo.training import Training, score, start, take_step

torch = pytest.importorskip("torch", reason="the demo's network is a torch module")
pytest.importorskip("mmengine", reason="the demo's network is built by mmpose")

pytestmark = pytest.mark.slow

FEW = Training(steps=12, batch=8, rate=2e-3, warm_up=2, pictures=6, held_out=3)


def parameters(network: Any) -> NDArray[np.float32]:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in network.parameters()])


def losses(training: Training) -> list[float]:
    samples = render_samples(0, training.pictures, processes=1)
    run = start(training, "cpu")
    return [
        take_step(run, draw_batch(samples, training.batch, training.seed, step))
        for step in range(training.steps)
    ]


def test_the_network_is_small_and_has_an_hourglass_and_a_heatmap_head() -> None:
    network = build_network().eval()
    assert type(network.backbone).__mro__[1].__name__ == "HourglassNet"
    assert type(network.head).__name__ == "CPMHead"
    assert 500_000 < sum(tensor.numel() for tensor in network.parameters()) < 960_000
    with torch.no_grad():
        heatmaps = network.head(network.backbone(torch.zeros(1, 3, 128, 128)))[-1]
    assert tuple(heatmaps.shape) == (1, 17, 32, 32)


def test_the_checkpoint_is_small_and_loads_without_unpickling_code() -> None:
    assert CHECKPOINT.stat().st_size <= 4_000_000
    checkpoint = torch.load(CHECKPOINT, weights_only=True)
    assert set(checkpoint) == {"meta", "state_dict"}
    missing, unexpected = build_network().load_state_dict(checkpoint["state_dict"], strict=False)
    assert not missing
    assert not unexpected


def test_init_model_of_mmpose_takes_config_and_checkpoint() -> None:
    apis = pytest.importorskip("mmpose.apis", reason="mmpose is not installed")
    network = apis.init_model(str(CONFIG), str(CHECKPOINT), device="cpu")
    assert network.cfg.codec.input_size == (128, 128)


def test_the_checkpoint_finds_people_that_it_was_not_trained_on() -> None:
    network = build_network()
    network.load_state_dict(torch.load(CHECKPOINT, weights_only=True)["state_dict"])
    held_out = render_samples(Training.pictures, 30, processes=1)
    assert score(network, held_out) > 0.5


def test_training_lowers_the_loss_and_is_the_same_every_time() -> None:
    first, again = losses(FEW), losses(FEW)
    assert np.mean(first[-3:]) < 0.9 * np.mean(first[:3])
    assert first == again
    assert losses(replace(FEW, seed=1, steps=1)) != first[:1]


def test_training_after_a_kill_ends_with_the_same_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantkit.demo import train as module

    train(FEW, tmp_path / "whole.pth", tmp_path / "a", "cpu")
    monkeypatch.setattr(module, "_STATE_SECONDS", 0.0)
    killed = _KillAt(5)
    monkeypatch.setattr(module, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(FEW, tmp_path / "resumed.pth", tmp_path / "b", "cpu")
    assert not (tmp_path / "resumed.pth").exists()
    monkeypatch.setattr(module, "take_step", take_step)
    train(FEW, tmp_path / "resumed.pth", tmp_path / "b", "cpu")
    assert (tmp_path / "resumed.pth").read_bytes() == (tmp_path / "whole.pth").read_bytes()


def test_a_checkpoint_keeps_its_weights(tmp_path: Path) -> None:
    network = build_network()
    write_checkpoint(network, tmp_path / "n.pth", {"seed": 0})
    checkpoint = torch.load(tmp_path / "n.pth", weights_only=True)
    assert checkpoint["meta"] == {"seed": 0}
    other = build_network()
    other.load_state_dict(checkpoint["state_dict"])
    np.testing.assert_array_equal(parameters(other), parameters(network))


class _KillAt:
    """Takes steps as training does, until a kill."""

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, *arguments: Any) -> float:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return take_step(*arguments)
