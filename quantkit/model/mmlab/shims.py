"""MMPose and its family, made importable beside a CPU-only torch and mmcv-lite."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from quantkit.optional import require

_PURPOSE = "An mmpose model"


def import_mmpose() -> ModuleType:
    """Import mmpose with the two shims that its dependencies need here.

    The torchvision wheel is built for CUDA: its import looks up two operators that a CPU torch
    lacks, so their signatures are declared first (they need no kernel). mmcv-lite has no compiled
    operators: `mmcv.ops` is imported beside an empty `mmcv._ext`, which is taken out again because
    `mmcv_full_available()` fails on one that is left in.

    Raises:
        Unavailable: mmpose or a package under it is not installed.
    """
    with quiet():
        torch = require("torch", extra="mmpose", purpose=_PURPOSE)
        _declare_torchvision_operators(torch)
        require("mmcv", extra="mmpose", purpose=_PURPOSE)
        _import_mmcv_operators()
        for module in ("xtcocotools", "mmdet", "mmpose.apis"):
            require(module, extra="mmpose", purpose=_PURPOSE)
    return sys.modules["mmpose"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings of third-party code, which nobody here can act on, from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _declare_torchvision_operators(torch: ModuleType) -> None:
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", signature)


def _import_mmcv_operators() -> None:
    if "mmcv._ext" in sys.modules:
        return
    sys.modules["mmcv._ext"] = _EmptyExtension("mmcv._ext")
    try:
        require("mmcv.ops", extra="mmpose", purpose=_PURPOSE)
    finally:
        del sys.modules["mmcv._ext"]


class _EmptyExtension(ModuleType):
    """Answers for every compiled operator that mmcv's Python files name while they load."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
