import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import InputError
from quantkit.model.mmlab.checkpoint import load_state_dict
from tests.oracles import mmpose_or_skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch() -> Any:
    mmpose_or_skip()
    return pytest.importorskip("torch")


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.folder),)


def test_what_mmpose_stores_beside_the_weights_is_read(torch: Any, tmp_path: Path) -> None:
    from mmengine.logging import HistoryBuffer, MessageHub

    hub = MessageHub("test")
    hub.update_scalar("train/loss", 0.5)
    path = tmp_path / "epoch_1.pth"
    meta = {
        "epoch": 1,
        "dataset_meta": {
            "sigmas": np.array([0.1, 0.2], np.float32),
            "flip_indices": [0, np.int64(1)],
            "names": np.array(["nose", "eye"]),
            "score": np.float64(3.5),
        },
    }
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(
        {
            "meta": meta,
            "state_dict": {"conv.weight": torch.ones(2, 3)},
            "message_hub": hub.state_dict(),
            "history": history,
        },
        path,
    )
    weights = load_state_dict(path)
    assert list(weights) == ["conv.weight"]
    assert weights["conv.weight"].sum() == 6


def test_a_plain_state_dict_is_read(torch: Any, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    assert list(load_state_dict(tmp_path / "a.pth")) == ["a"]


def test_pickled_code_is_refused_and_not_run(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    marker = tmp_path / "was_run"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Intruder(marker)}, path)
    with pytest.raises(InputError, match=r"evil\.pth: holds more than weights .* refused: .*mkdir"):
        load_state_dict(path)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_refused_and_not_run(torch: Any, tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "evil.pth"
    marker = tmp_path / "was_run"
    path.write_bytes(pickle.dumps(Intruder(marker), protocol))
    with pytest.raises(InputError, match=r"evil\.pth: "):
        load_state_dict(path)
    assert not marker.exists()


def test_getattr_reaches_nothing_but_the_loss_history(torch: Any, tmp_path: Path) -> None:
    class Reach:
        def __reduce__(self) -> tuple[object, tuple[object, str]]:
            return getattr, (np.ndarray, "tofile")

    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Reach()}, path)
    with pytest.raises(InputError, match=r"evil\.pth: .*refused"):
        load_state_dict(path)


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_truncated_checkpoint_is_refused(torch: Any, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.pth"
    torch.save({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"short\.pth: "):
        load_state_dict(path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": [1]}, {"state_dict": {"a": 1}}, {}])
def test_a_file_without_weights_is_refused(torch: Any, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match="holds no"):
        load_state_dict(tmp_path / "a.pth")


def test_nan_weights_are_named(torch: Any, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "b": torch.full((3,), float("nan"))}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="weight 'b' holds NaN"):
        load_state_dict(tmp_path / "a.pth")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pth: does not exist"):
        load_state_dict(tmp_path / "gone.pth")
