"""`quantkit sensitivity`: which layer costs the accuracy."""

from typing import Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import JsonOption, ProjectOption, ThreadsOption, open_project


def sensitivity(
    project: ProjectOption = None,
    table: Annotated[str, typer.Option(help="Name of the table in tables/.")] = "best",
    crops: Annotated[int, typer.Option(help="Calibration crops to judge by.", min=1)] = 16,
    worst: Annotated[int | None, typer.Option(help="Show only this many layers.", min=1)] = None,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Put one layer at a time in int8 and rank the layers by what that does to the output."""
    from quantkit.project.ranking import rank_layers
    from quantkit.report.sensitivity import sensitivity_table

    with feedback() as shown:
        report = rank_layers(
            open_project(project, shown), table=table, crops=crops, workers=threads, feedback=shown
        )
    if as_json:
        typer.echo(report.text(), nl=False)
    else:
        results().print(sensitivity_table(report, worst))
