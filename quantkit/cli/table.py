"""`quantkit table`: check, show, compare and edit calibration tables, ncnn2table's own included."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import (
    BinOption,
    JsonOption,
    OverwriteOption,
    ParamOption,
    ProjectOption,
    SizeOption,
    ThreadsOption,
    open_project,
)
from quantkit.errors import GateFailed, InputError

if TYPE_CHECKING:
    from quantkit.project.table_files import TableModel

app = typer.Typer(
    help="Check, show, compare and edit calibration tables, ncnn2table's own included.",
    no_args_is_help=True,
)

TableArgument = Annotated[
    Path, typer.Argument(help="Path of a calibration table, or the name of one in tables/.")
]


@app.command()
def check(
    table: TableArgument,
    project: ProjectOption = None,
    param: ParamOption = None,
    bin: BinOption = None,
    size: SizeOption = None,
    crops: Annotated[
        int | None,
        typer.Option(
            help="Compare thresholds with so many calibration crops of the project"
            " (default: with the table's .json, else 4 where there is data; 0: none).",
            min=0,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with a table; exit with 1 if a layer would be wrong or lost."""
    from quantkit.calibration.finding import counts
    from quantkit.project.table_files import check_table_file, findings_json, known_ranges
    from quantkit.report.table import findings_sentence
    from quantkit.storage import from_here, json_text

    table = _located(table, project)
    model = _model(table, project, param, bin, size)
    with feedback() as shown:
        ranges = known_ranges(table, model, crops, shown)
    findings = check_table_file(table, model, ranges)
    if as_json:
        typer.echo(json_text(findings_json(table, model, findings)), nl=False)
    else:
        for finding in findings:
            typer.echo(finding.text(from_here(table)))
        typer.echo(f"{findings_sentence(findings)} ({_against(model)})")
    if errors := counts(findings)["error"]:
        raise GateFailed(f"{table}: {errors} {'error' if errors == 1 else 'errors'}")


@app.command()
def show(
    table: TableArgument,
    project: ProjectOption = None,
    param: ParamOption = None,
    bin: BinOption = None,
    size: SizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a table for people: thresholds, weight scales, bits, and what stays in fp32."""
    from quantkit.project.table_files import rows_json, table_file_rows
    from quantkit.report.table import rows_table
    from quantkit.storage import from_here, json_text

    table = _located(table, project)
    model = _model(table, project, param, bin, size)
    rows = table_file_rows(table, model)
    if as_json:
        typer.echo(json_text(rows_json(table, model, rows)), nl=False)
    else:
        results().print(rows_table(rows, from_here(table)))


@app.command()
def diff(
    first: TableArgument,
    second: TableArgument,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the layers that only one of two tables has, and the scales that differ."""
    from quantkit.project.table_files import diff_json, diff_table_files
    from quantkit.report.table import diff_table
    from quantkit.storage import json_text

    first, second = _located(first, project), _located(second, project)
    found = diff_table_files(first, second)
    if as_json:
        typer.echo(json_text(diff_json(first, second, found)), nl=False)
    else:
        names = ("first", "second") if first.name == second.name else (first.stem, second.stem)
        results().print(diff_table(found, *names))


@app.command()
def edit(
    table: Annotated[
        str, typer.Argument(help="Name of a table in tables/, or the path of any table.")
    ],
    name: Annotated[str, typer.Option(help="Name of the table that is written.")],
    fp32: Annotated[
        list[str] | None,
        typer.Option(help="Leave layers in fp32: a name, 'conv_6*' or type:TYPE; repeatable."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="LAYER=VALUE: the input value that becomes 127; repeatable."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the .json.")] = None,
    project: ProjectOption = None,
    threads: ThreadsOption = 2,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a table that differs from another one in some layers, and keep the reason."""
    from quantkit.project.table_editing import TableEdit, edit_table
    from quantkit.storage import json_text

    change = TableEdit(tuple(fp32 or ()), _thresholds(threshold or ()), reason)
    with feedback() as shown:
        edited = edit_table(
            open_project(project, shown),
            table,
            change,
            name,
            threads=threads,
            feedback=shown,
            overwrite=overwrite,
        )
    if as_json:
        typer.echo(json_text(edited.to_json()), nl=False)
    else:
        typer.echo("\n".join(edited.lines()))


def _thresholds(given: Iterable[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        layer, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = None
        if not layer or number is None:
            message = f"--threshold '{text}' is not LAYER=VALUE, such as conv_3=14.17"
            raise InputError(message)
        if found.setdefault(layer, number) != number:
            message = f"--threshold gives layer '{layer}' two values"
            raise InputError(message)
    return found


def _against(model: "TableModel | None") -> str:
    if model is None:
        return "no model: only the lines were checked"
    return model.name if model.shapes else f"{model.name}; with --size also for 1-D convolutions"


def _located(table: Path, project: Path | None) -> Path:
    """Take a path as it is, and a name for a table of the project, where there is one."""
    from quantkit.project import find_project, load_project
    from quantkit.project.table_location import find_table

    found = None if table.is_file() else project or find_project(Path.cwd())
    return table if found is None else find_table(load_project(found), str(table))


def _model(
    table: Path,
    project: Path | None,
    param: Path | None,
    bin: Path | None,
    size: tuple[int, int] | None,
) -> "TableModel | None":
    """Find the network that was named, else the table's or project's; None where there is none."""
    from quantkit.project import find_project, load_project
    from quantkit.project.table_files import ncnn_model, project_model

    if bin is not None and param is None:
        message = "give --param beside --bin"
        raise InputError(message)
    if param is not None:
        return ncnn_model(param, bin or param.with_suffix(".bin"), size)
    found = project or find_project(Path.cwd())
    if found is None:
        return None
    with feedback() as shown:
        return project_model(load_project(found), table, shown)
