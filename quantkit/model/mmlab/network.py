"""MMPose networks with their weights, as far as their head's raw outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quantkit.errors import InputError, Unavailable
from quantkit.model.mmlab.checkpoint import load_state_dict
from quantkit.model.mmlab.config import import_custom_modules, load_config, missing_packages
from quantkit.model.mmlab.shims import import_mmpose, quiet
from quantkit.model.source import MMPoseSource
from quantkit.optional import require


def build_pose_model(source: MMPoseSource) -> Any:
    """Build MMPose's own network and fill in its weights.

    Args:
        source: The config and the checkpoint. Without a checkpoint the weights are random: MMPose's
            own initialisation lets the outputs collapse, so convolutions are drawn as in kaiming's
            normal scheme and batch norms get statistics like a trained network's.

    Returns:
        A `torch.nn.Module` in evaluation mode.

    Raises:
        InputError: The config or the checkpoint is wrong, or they do not belong together.
        Unavailable: MMPose, or a package that the config needs besides, is not installed.
    """
    config = load_config(source.config)
    if (missing := missing_packages(config)) is not None:
        message = f"{source.config}: {missing}"
        raise Unavailable(message)
    import_mmpose()
    import_custom_modules(config, source.config)
    registry = require("mmpose.registry", extra="mmpose", purpose="An mmpose model")
    engine = require("mmengine.registry", extra="mmpose", purpose="An mmpose model")
    models = require("mmengine.model", extra="mmpose", purpose="An mmpose model")
    plan = config.model.to_dict() | {"train_cfg": None}
    # A pretrained backbone would be downloaded, and then overwritten.
    _drop(plan, "init_cfg")
    try:
        # Some layers draw parameters while they are built.
        with quiet(), _seeded(source.seed):
            engine.init_default_scope("mmpose")
            model = models.revert_sync_batchnorm(registry.MODELS.build(plan))
    except Exception as error:
        message = f"mmpose cannot build its model: {' '.join(str(error).split())[:300]}"
        raise InputError(message, path=source.config) from error
    if source.checkpoint is None:
        fill_randomly(model, source.seed)
    else:
        _fill(model, source)
    return model.eval()


def head_outputs(model: Any, batch: Any) -> tuple[Any, ...]:
    """Run a network as far as its head's raw outputs.

    Args:
        model: What `build_pose_model` made.
        batch: Normalised crops, a tensor of shape (n, 3, height, width).

    Returns:
        The last stage's heatmaps (n, keypoints, h, w); or SimCC's two vectors (n, keypoints, bins),
        for x and for y.
    """
    outputs = model(batch, None, mode="tensor")
    while isinstance(outputs, list):
        outputs = outputs[-1]
    return outputs if isinstance(outputs, tuple) else (outputs,)


def fill_randomly(model: Any, seed: int) -> None:
    """Draw weights with which a network's outputs depend on its input, as a trained one's do.

    Args:
        model: A `torch.nn.Module`; changed in place.
        seed: The same seed gives the same weights, whatever else draws random numbers.
    """
    torch = require("torch", extra="torch", purpose="An mmpose model")
    layers = torch.nn
    weighted = (layers.Conv2d, layers.ConvTranspose2d, layers.Linear)
    with torch.no_grad(), _seeded(seed):
        for module in model.modules():
            if isinstance(module, weighted):
                layers.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    layers.init.normal_(module.bias, std=0.05)
            elif isinstance(module, layers.BatchNorm2d):
                layers.init.uniform_(module.weight, 0.5, 1.0)
                layers.init.normal_(module.bias, std=0.1)
                layers.init.normal_(module.running_mean, std=0.1)
                layers.init.uniform_(module.running_var, 0.5, 1.5)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    torch = require("torch", extra="torch", purpose="An mmpose model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _fill(model: Any, source: MMPoseSource) -> None:
    assert source.checkpoint is not None
    weights = load_state_dict(source.checkpoint)
    try:
        with quiet():
            missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        message = f"does not fit '{source.config}': {lines[-1]}"
        raise InputError(message, path=source.checkpoint) from error
    missing = [name for name in missing if not name.startswith("data_preprocessor")]
    if missing or unexpected:
        first = f"lacks '{missing[0]}'" if missing else f"has '{unexpected[0]}' beyond it"
        count = f"{len(missing)} missing, {len(unexpected)} unexpected"
        message = f"does not fit '{source.config}': {first} ({count})"
        raise InputError(message, path=source.checkpoint)


def _drop(plan: object, name: str) -> None:
    if isinstance(plan, dict):
        plan.pop(name, None)
        for value in plan.values():
            _drop(value, name)
    elif isinstance(plan, list | tuple):
        for value in plan:
            _drop(value, name)
