"""`quantkit init`: a project file from a model."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import OverwriteOption
from quantkit.errors import InputError

if TYPE_CHECKING:
    from quantkit.project.starting import Start


def init(
    mmpose: Annotated[str | None, typer.Option(help="MMPose config: a file or a name.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Its checkpoint.")] = None,
    onnx: Annotated[Path | None, typer.Option(help="ONNX file.")] = None,
    ncnn: Annotated[
        tuple[Path, Path] | None, typer.Option(help="ncnn pair.", metavar="PARAM BIN")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The embedded default.")] = False,
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Input size.", metavar="WIDTH HEIGHT")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the project file is written.")] = Path(),
    overwrite: OverwriteOption = False,
) -> None:
    """Write quantkit.toml for a model; paths in it are relative to its folder."""
    from quantkit.demo.project_files import materialize
    from quantkit.storage import write_result

    if demo:
        with feedback() as shown:
            materialize(folder, shown, overwrite=overwrite)
    else:
        start = _start(mmpose, checkpoint, onnx, ncnn, folder)
        start = replace(start, size=size or start.size, name=name or start.name)
        write_result(folder / "quantkit.toml", start.text(), overwrite=overwrite)
    typer.echo(f"{folder / 'quantkit.toml'}")


def _start(
    mmpose: str | None,
    checkpoint: Path | None,
    onnx: Path | None,
    ncnn: tuple[Path, Path] | None,
    folder: Path,
) -> "Start":
    from quantkit.project.starting import start_from_mmpose, start_from_ncnn, start_from_onnx

    if [mmpose, onnx, ncnn].count(None) != 2:
        message = "give one of --mmpose, --onnx, --ncnn or --demo"
        raise InputError(message)
    if mmpose is not None:
        return start_from_mmpose(mmpose, checkpoint, folder)
    if onnx is not None:
        return start_from_onnx(onnx, folder)
    assert ncnn is not None
    return start_from_ncnn(*ncnn, folder)
