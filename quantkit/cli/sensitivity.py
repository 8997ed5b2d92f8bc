"""`quantkit sensitivity`: which layer costs the accuracy."""

from typing import Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import JsonOption, ProjectOption, ThreadsOption, open_project

CROPS, AP_CROPS, AP_LAYERS = 8, 64, 16
BudgetOption = Annotated[
    str | None, typer.Option(help="Time that it may take, such as 30s, 5m or 1h.")
]


def sensitivity(
    project: ProjectOption = None,
    table: Annotated[str, typer.Option(help="Name of the table in tables/.")] = "best",
    crops: Annotated[
        int, typer.Option(help="Calibration crops that every layer is judged by.", min=1)
    ] = CROPS,
    ap_crops: Annotated[
        int, typer.Option(help="Calibration crops for the OKS and AP of the worst layers.", min=0)
    ] = AP_CROPS,
    ap_layers: Annotated[
        int, typer.Option(help="How many of the worst layers get an AP and advice.", min=0)
    ] = AP_LAYERS,
    budget: BudgetOption = None,
    worst: Annotated[int | None, typer.Option(help="Show only this many layers.", min=1)] = None,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Put one layer in int8, and all but one, and rank the layers by what that does."""
    from quantkit.project.ranking import rank_layers
    from quantkit.report.sensitivity import sensitivity_table
    from quantkit.sensitivity.plan import Effort, budget_seconds

    seconds = None if budget is None else budget_seconds(budget)
    with feedback() as shown:
        report = rank_layers(
            open_project(project, shown),
            table=table,
            effort=Effort(crops, ap_crops, ap_layers, seconds),
            workers=threads,
            feedback=shown,
        )
    if as_json:
        typer.echo(report.text(), nl=False)
    else:
        results().print(sensitivity_table(report, worst))
