"""MMPose checkpoints, read without running what is pickled in them."""

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from quantkit.errors import InputError
from quantkit.model.mmlab.shims import quiet
from quantkit.optional import require

_STATISTICS: Final = frozenset({"mean", "min", "max", "current"})


def load_state_dict(path: Path) -> dict[str, Any]:
    """Read the weights of a checkpoint.

    Args:
        path: A .pth file: a state dict, or a dict that holds one under "state_dict".

    Returns:
        Tensors by parameter name.

    Raises:
        InputError: The file is missing or broken, holds pickled code, or no weights.
    """
    if not path.is_file():
        message = "does not exist"
        raise InputError(message, path=path)
    torch = require("torch", extra="mmpose", purpose="An mmpose checkpoint")
    try:
        with quiet(), torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        message = f"holds more than weights and plain values and is refused: {_reason(error)}"
        raise InputError(message, path=path) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        message = f"is not a PyTorch checkpoint, or is damaged: {_reason(error)}"
        raise InputError(message, path=path) from error
    return _weights(content, torch, path)


def _weights(content: Any, torch: ModuleType, path: Path) -> dict[str, Any]:
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        message = "holds no state_dict"
        raise InputError(message, path=path)
    weights = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not weights:
        message = "holds no weights"
        raise InputError(message, path=path)
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            message = f"weight '{name}' holds NaN or infinite values"
            raise InputError(message, path=path)
    return weights


def _harmless() -> list[Any]:
    """List what MMPose stores beside the weights: numpy values and mmengine's loss history."""
    history = require("mmengine.logging", extra="mmpose", purpose="An mmpose checkpoint")
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in "?bhilqBHILQefdUSO"]
    return [
        history.HistoryBuffer,
        np.ndarray,
        np.dtype,
        *kinds,
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        (_statistic_of(history.HistoryBuffer), "builtins.getattr"),
        (_statistic_of(history.HistoryBuffer), "__builtin__.getattr"),
    ]


def _statistic_of(history: type) -> Any:
    def method(owner: object, name: str) -> object:
        if owner is not history or name not in _STATISTICS:
            message = f"getattr of {name}"
            raise pickle.UnpicklingError(message)
        return getattr(history, name)

    return method


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line or "nsupported" in line]
    return (named or lines or [type(error).__name__])[0][:200]
