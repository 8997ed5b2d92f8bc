"""`quantkit doctor`: what is installed, which backends can run here, and why not."""

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import typer
from rich.table import Table

from quantkit import __version__
from quantkit.backends import BACKENDS, availability
from quantkit.cli.console import results
from quantkit.cli.options import JsonOption

PACKAGES = (
    "numpy", "ncnn", "onnx", "onnxruntime", "onnxsim", "opencv-python", "pycocotools", "torch",
    "pnnx", "mmpose", "mmdeploy", "openvino", "tensorrt", "cuda-python", "matplotlib",
)  # fmt: skip


def doctor(as_json: JsonOption = False) -> None:
    """Show what is installed, which backends can run here, and why the others cannot."""
    packages = {name: _version(name) for name in PACKAGES}
    backends = {name: availability(name) for name in BACKENDS}
    if as_json:
        value = {
            "quantkit": __version__,
            "python": platform.python_version(),
            "packages": packages,
            "backends": {
                name: {"status": "ok" if reason is None else "unavailable", "reason": reason}
                for name, reason in backends.items()
            },
        }
        typer.echo(json.dumps(value, indent=1))
        return
    console = results()
    console.print(f"quantkit {__version__}, Python {platform.python_version()}, {sys.platform}")
    console.print(_table("package", {k: v or "not installed" for k, v in packages.items()}))
    console.print(_table("backend", {k: v or "can run" for k, v in backends.items()}))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _table(kind: str, rows: dict[str, str]) -> Table:
    table = Table(kind, "status")
    for name, status in rows.items():
        table.add_row(name, status)
    return table
