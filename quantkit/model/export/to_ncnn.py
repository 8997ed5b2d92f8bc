"""ONNX to ncnn's .param and .bin with fp32 weights, by pnnx's command line."""

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from quantkit.errors import InputError, Unavailable
from quantkit.model.export.native import NativeRun, run_native
from quantkit.model.source import NcnnFiles, OnnxFile


def onnx_to_ncnn(
    source: OnnxFile, folder: Path, shape: Sequence[int], *, timeout: float = 1200.0
) -> tuple[NcnnFiles, NativeRun]:
    """Convert an ONNX network to ncnn.

    Args:
        source: The network, with its outputs in the decoder's order.
        folder: Where `model.param` and `model.bin` are written.
        shape: (channels, height, width) of its input.
        timeout: Seconds after which the conversion counts as hung.

    Raises:
        InputError: pnnx makes no network from it.
        Unavailable: pnnx is not installed.
        BackendDied: pnnx crashed or hung.
    """
    files = NcnnFiles(
        param=folder / "model.param",
        bin=folder / "model.bin",
        input="in0",
        outputs=tuple(f"out{number}" for number in range(len(source.outputs))),
    )
    with TemporaryDirectory(prefix=".pnnx-", dir=folder) as scratch:
        # pnnx writes beside its input.
        Path(scratch, "net.onnx").symlink_to(source.path.resolve())
        used = run_native("pnnx", _command(shape), folder=Path(scratch), timeout=timeout)
        made = Path(scratch, "net.ncnn.param"), Path(scratch, "net.ncnn.bin")
        if not all(path.is_file() for path in made):
            message = "pnnx makes no ncnn network from it"
            raise InputError(message, path=source.path)
        made[0].replace(files.param)
        made[1].replace(files.bin)
    return files, used


def converter() -> str:
    """Name pnnx and its version.

    Raises:
        Unavailable: pnnx is not installed.
    """
    _binary()
    return f"pnnx {version('pnnx')}"


def _command(shape: Sequence[int]) -> list[str]:
    sizes = ",".join(str(size) for size in (1, *shape))
    unwanted = ("pnnxparam", "pnnxbin", "pnnxpy", "pnnxonnx", "ncnnpy")
    return [
        str(_binary()),
        "net.onnx",
        f"inputshape=[{sizes}]",
        # Its default stores half-precision weights, which costs 0.025 in the output.
        "fp16=0",
        *(f"{name}=/dev/null" for name in unwanted),
    ]


def _binary() -> Path:
    # Found, not imported: importing the package imports torch.
    found = importlib.util.find_spec("pnnx")
    if found is None or found.origin is None:
        message = "The conversion to ncnn needs 'pnnx': pip install 'quantkit[torch]'"
        raise Unavailable(message)
    return Path(found.origin).parent / "pnnx"
