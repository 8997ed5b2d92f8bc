"""`quantkit quantize`: an int8 model from a table."""

from typing import Annotated

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import JsonOption, ProjectOption, open_project


def quantize(
    table: Annotated[
        str,
        typer.Argument(help="Name in tables/, or path of any table, ncnn2table's own included."),
    ],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the int8 model of a calibration table, as ncnn2int8 would."""
    from quantkit.project.quantizing import quantize_model
    from quantkit.storage import json_text

    with feedback() as shown:
        result = quantize_model(open_project(project, shown), table, shown)
    if as_json:
        typer.echo(json_text(result.to_json()), nl=False)
    else:
        typer.echo("\n".join(result.lines()))
