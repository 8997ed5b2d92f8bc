"""`quantkit sensitivity`: which layer costs the accuracy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import (
    JsonOption,
    OverwriteOption,
    ProjectOption,
    TableOption,
    ThreadsOption,
    open_project,
)

if TYPE_CHECKING:
    from quantkit.project.mixing import MixRequest

CROPS, AP_CROPS, AP_LAYERS = 16, 64, 16
BudgetOption = Annotated[
    str | None, typer.Option(help="Time that it may take, such as 30s, 5m or 1h.")
]


def sensitivity(
    project: ProjectOption = None,
    table: TableOption = "best",
    calib_set: Annotated[
        str | None,
        typer.Option(help="Set of calib_sets/ whose crops judge (default: the table's own)."),
    ] = None,
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
    max_drop: Annotated[
        float | None,
        typer.Option(help="Search the fastest mix with an AP drop up to this, such as 0.002."),
    ] = None,
    min_sqnr: Annotated[
        float | None,
        typer.Option(
            help="Search the fastest mix with an output SQNR of so many dB (default: 25)."
        ),
    ] = None,
    latency: Annotated[
        Path | None, typer.Option(help="Layer times of another machine: its latency.json.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the table that a search writes.")] = "mixed",
    overwrite: OverwriteOption = False,
    worst: Annotated[int | None, typer.Option(help="Show only this many layers.", min=1)] = None,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Put one layer in int8, and all but one, and rank the layers by what that does.

    With --max-drop or --min-sqnr: find the fastest mix of fp32 and int8 that holds them.
    """
    from quantkit.project.layer_timing import table_costs
    from quantkit.project.mixing import MixRequest
    from quantkit.project.ranking import rank_layers
    from quantkit.report.sensitivity import sensitivity_table
    from quantkit.sensitivity.plan import Effort, budget_seconds
    from quantkit.sensitivity.search_report import Bounds

    seconds = None if budget is None else budget_seconds(budget)
    if max_drop is not None or min_sqnr is not None:
        bounds = (max_drop, 25.0 if min_sqnr is None else min_sqnr)
        request = MixRequest(table, name, Bounds(*bounds), latency, seconds, calib_set)
        _search(project, request, threads, overwrite, as_json)
        return
    with feedback() as shown:
        opened = open_project(project, shown)
        costs = table_costs(opened, table, latency=latency, threads=threads, feedback=shown)
        report = rank_layers(
            opened,
            table=table,
            calib_set=calib_set,
            effort=Effort(crops, ap_crops, ap_layers, seconds),
            times={name: (one.ms_fp32, one.ms_int8) for name, one in costs.items()},
            workers=threads,
            feedback=shown,
        )
    if as_json:
        typer.echo(report.text(), nl=False)
    else:
        results().print(sensitivity_table(report, worst))


def _search(
    project: Path | None,
    request: "MixRequest",
    threads: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    from quantkit.project.mixing import mix_table
    from quantkit.report.search import search_table
    from quantkit.storage import json_text

    with feedback() as shown:
        opened = open_project(project, shown)
        report = mix_table(opened, request, threads=threads, feedback=shown, overwrite=overwrite)
    if as_json:
        typer.echo(json_text({"model": report.model, "search": report.to_json()}), nl=False)
    else:
        results().print(search_table(report))
