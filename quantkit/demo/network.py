"""The demo's network: where its config and checkpoint lie, and how it is built from them."""

import io
from pathlib import Path
from typing import Any, Final

from quantkit.model.mmlab import import_mmpose
from quantkit.optional import require
from quantkit.storage import write_atomically

CONFIG: Final = Path(__file__).with_name("hourglass_small_coco-people_128x128.py")
CHECKPOINT: Final = CONFIG.with_suffix(".pth")
_PURPOSE: Final = "The demo's network"


def build_network() -> Any:
    """Build the untrained network from its MMPose config.

    Raises:
        Unavailable: mmpose is not installed.
    """
    import_mmpose()
    config = require("mmengine.config", extra="mmpose", purpose=_PURPOSE).Config.fromfile(CONFIG)
    registry = require("mmengine.registry", extra="mmpose", purpose=_PURPOSE)
    registry.init_default_scope(config.default_scope)
    models = require("mmpose.models", extra="mmpose", purpose=_PURPOSE)
    return models.build_pose_estimator(config.model)


def write_checkpoint(network: Any, path: Path, meta: dict[str, Any]) -> None:
    """Write a checkpoint that `torch.load` reads without unpickling code.

    Args:
        network: A torch module.
        path: Where to.
        meta: Plain types only.
    """
    torch = require("torch", extra="mmpose", purpose=_PURPOSE)
    state = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in network.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save({"meta": meta, "state_dict": state}, buffer)
    write_atomically(path, buffer.getvalue())
