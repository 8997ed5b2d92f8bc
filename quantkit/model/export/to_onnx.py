"""MMPose to ONNX: mmdeploy's rewriters, or torch alone where mmdeploy is not installed."""

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.model.export.deploy_config import INPUT, OPSETS, deploy_config, tracing_data
from quantkit.model.export.native import NativeRun
from quantkit.model.export.step import run_step
from quantkit.model.mmlab import build_pose_model, describe, head_outputs, load_config
from quantkit.model.mmlab.shims import quiet
from quantkit.model.source import MMPoseSource, OnnxFile
from quantkit.optional import require

_PURPOSE: Final = "The ONNX export"


def mmpose_to_onnx(
    source: MMPoseSource, target: Path, *, timeout: float = 1200.0
) -> tuple[OnnxFile, NativeRun]:
    """Convert an MMPose network to ONNX, at its own input size and batch 1.

    Args:
        source: The network.
        target: The .onnx file to write.
        timeout: Seconds after which the conversion counts as hung.

    Raises:
        InputError: The config or the checkpoint is wrong, or torch cannot trace the network.
        Unavailable: MMPose is not installed.
        BackendDied: The conversion crashed or hung.
    """
    arguments = {
        "config": source.config,
        "checkpoint": None if source.checkpoint is None else str(source.checkpoint),
        "seed": source.seed,
        "opset": source.opset,
        "target": str(target),
    }
    outputs, used = run_step("to_onnx", "the ONNX export", arguments, timeout)
    return OnnxFile(target, INPUT, tuple(outputs)), used


def exporter() -> str:
    """Name the package that exports, and its version."""
    if importlib.util.find_spec("mmdeploy"):
        return f"mmdeploy {version('mmdeploy')}, torch {version('torch')}"
    return f"torch {version('torch')}"


def convert(
    config: str, checkpoint: str | None, seed: int, target: str, opset: int | None = None
) -> list[str]:
    """Convert in this process; see `mmpose_to_onnx`.

    Returns:
        Names of the outputs.
    """
    source = MMPoseSource(config, None if checkpoint is None else Path(checkpoint), seed)
    torch = require("torch", extra="mmpose", purpose=_PURPOSE)
    model = build_pose_model(source)
    outputs = describe(config).outputs
    use_mmdeploy = importlib.util.find_spec("mmdeploy") is not None
    opsets = OPSETS if opset is None else (opset,)
    for number in opsets:
        try:
            with quiet(), _torchscript_exporter(torch):
                if use_mmdeploy:
                    _export_rewritten(torch, model, config, Path(target), number)
                else:
                    _export_plainly(torch, model, config, Path(target), number)
        except Exception as error:
            lacks = type(error).__name__ == "UnsupportedOperatorError"
            if lacks and number != opsets[-1]:
                continue
            reason = " ".join(str(error).split())[:300]
            message = f"cannot be exported to ONNX: {type(error).__name__}: {reason}"
            if lacks and opset is not None:
                message += "; leave 'opset' out of [model] mmpose, or give a higher one"
            raise InputError(message, path=config) from error
        break
    return list(outputs)


def _export_rewritten(torch: ModuleType, model: Any, config: str, target: Path, opset: int) -> None:
    apis = require("mmdeploy.apis", extra="mmdeploy", purpose=_PURPOSE)
    engine = require("mmengine", extra="mmpose", purpose=_PURPOSE)
    numpy = require("numpy", extra="mmpose", purpose=_PURPOSE)
    spec = describe(config)
    plan = load_config(config)
    plan.default_scope = "mmpose"
    # MMPose runs the `metainfo` file of a config's own data sets, which nobody has checked.
    plan.train_dataloader = plan.val_dataloader = plan.test_dataloader = tracing_data(spec)
    _remove(plan.model, "init_cfg")
    picture = numpy.zeros((spec.size[1], spec.size[0], 3), numpy.uint8)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # mmdeploy loads its checkpoint itself: it gets weights only, random ones included.
        weights = Path(folder, "weights.pth")
        torch.save({"state_dict": model.state_dict(), "meta": {}}, weights)
        deploy = engine.Config(deploy_config(spec, opset))
        apis.torch2onnx(picture, str(target.parent), target.name, deploy, plan, str(weights), "cpu")


def _export_plainly(torch: ModuleType, model: Any, config: str, target: Path, opset: int) -> None:
    class HeadOutputs(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Any) -> Any:
            return head_outputs(self.model, batch)

    spec = describe(config)
    torch.onnx.export(
        HeadOutputs().eval(),
        torch.zeros(1, 3, spec.size[1], spec.size[0]),
        str(target),
        input_names=[INPUT],
        output_names=list(spec.outputs),
        opset_version=opset,
    )


@contextmanager
def _torchscript_exporter(torch: ModuleType) -> Iterator[None]:
    """Have `torch.onnx.export` trace: its newer exporter knows none of mmdeploy's rewriters."""
    original = torch.onnx.export

    def export(*arguments: Any, **named: Any) -> Any:
        return original(*arguments, **named, dynamo=False)

    torch.onnx.export = export
    try:
        yield
    finally:
        torch.onnx.export = original


def _remove(plan: Any, name: str) -> None:
    if isinstance(plan, dict):
        plan.pop(name, None)
        for value in plan.values():
            _remove(value, name)
