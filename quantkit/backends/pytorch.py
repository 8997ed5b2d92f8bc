"""MMPose's own network in PyTorch, the reference of every other backend."""

from typing import Any, Self

import numpy as np

from quantkit.backends.runner import Shape, Tensor
from quantkit.errors import InputError
from quantkit.model.mmlab import build_pose_model, describe, head_outputs, import_mmpose
from quantkit.model.source import MMPoseSource
from quantkit.optional import require

_PURPOSE = "Backend 'pytorch'"


class PytorchSession:
    """One MMPose network on the CPU; a run is one forward, a flip test is two.

    The input is a normalised crop, so the config's data preprocessor is not part of a run.
    """

    concurrency = 1

    def __init__(self, model: Any, source: MMPoseSource, threads: int) -> None:
        self._torch = require("torch", extra="mmpose", purpose=_PURPOSE)
        self._torch.set_num_threads(threads)
        self._model = model
        spec = describe(source.config)
        self.input_shape: Shape = (3, spec.size[1], spec.size[0])
        self.outputs = spec.outputs
        self.run_threads = threads
        self.description = f"torch {self._torch.__version__}, CPU, fp32"

    @classmethod
    def load(cls, source: MMPoseSource, threads: int) -> Self:
        """Build the network and load its checkpoint.

        Raises:
            InputError: The config or the checkpoint is wrong.
            Unavailable: MMPose is not installed.
        """
        import_packages()
        return cls(build_pose_model(source), source, threads)

    def run(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run one input of shape (channels, height, width)."""
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(tensor, np.float32))[None]
            outputs = head_outputs(self._model, batch)
        if not all(isinstance(output, torch.Tensor) for output in outputs):
            message = "the head's outputs are not plain tensors"
            raise InputError(message)
        return tuple(output[0].numpy() for output in outputs)


def import_packages() -> None:
    """Import torch and mmpose.

    Raises:
        Unavailable: One of them is not installed or cannot be loaded.
    """
    require("torch", extra="mmpose", purpose=_PURPOSE)
    import_mmpose()
