"""`quantkit report`: pictures and one HTML file from what has been measured."""

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import JsonOption, ProjectOption, ThreadsOption, open_project


def report(
    project: ProjectOption = None,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file with pictures from what eval, sensitivity and curves have measured."""
    from quantkit.project.reporting import write_report
    from quantkit.storage import from_here, json_text

    with feedback() as shown:
        path = write_report(open_project(project, shown), threads=threads, feedback=shown)
    pictures = sorted(path.with_suffix("").glob("*.png"))
    if as_json:
        found = {"schema": 1, "report": str(path), "pictures": [str(one) for one in pictures]}
        typer.echo(json_text(found), nl=False)
    else:
        typer.echo(f"report    {from_here(path)}")
        for one in pictures:
            typer.echo(f"picture   {from_here(one)}")
