"""`quantkit quantize`: an int8 model from a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import (
    BinOption,
    JsonOption,
    OverwriteOption,
    ParamOption,
    ProjectOption,
    SizeOption,
    open_project,
)
from quantkit.errors import InputError

if TYPE_CHECKING:
    from quantkit.project.quantizing import WrittenInt8


def quantize(
    table: Annotated[
        str,
        typer.Argument(help="Name in tables/, or path of any table, ncnn2table's own included."),
    ],
    project: ProjectOption = None,
    param: ParamOption = None,
    bin: BinOption = None,
    size: SizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of NAME-int8.param and .bin, with --param (default: here)."),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the int8 model of a calibration table, as ncnn2int8 would. It needs no data."""
    from quantkit.project.quantizing import quantize_model
    from quantkit.storage import json_text

    if param is None:
        if bin is not None or size is not None or out is not None:
            message = "--bin, --size and --out belong to --param; a project knows its own"
            raise InputError(message)
        with feedback() as shown:
            result = quantize_model(open_project(project, shown), table, shown)
    elif project is not None:
        message = "give either --project or --param: the network comes from one of them"
        raise InputError(message)
    else:
        result = _pair(Path(table), param, bin, size, out or Path(), overwrite=overwrite)
    if as_json:
        typer.echo(json_text(result.to_json()), nl=False)
    else:
        typer.echo("\n".join(result.lines()))


def _pair(
    table: Path,
    param: Path,
    bin: Path | None,
    size: tuple[int, int] | None,
    out: Path,
    *,
    overwrite: bool,
) -> "WrittenInt8":
    from quantkit.project.quantizing import quantize_pair
    from quantkit.project.table_files import ncnn_model

    model = ncnn_model(param, bin or param.with_suffix(".bin"), size)
    with feedback() as shown:
        return quantize_pair(table, model, out, shown, overwrite=overwrite)
