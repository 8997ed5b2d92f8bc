"""`quantkit export`: the model's way from its source to ncnn, each step compared."""

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import JsonOption, ProjectOption, open_project


def export(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Convert the model to ONNX and ncnn; compare every step with the one before it."""
    from quantkit.project.exporting import export_model
    from quantkit.report.export import export_table
    from quantkit.storage import json_text

    with feedback() as shown:
        report = export_model(open_project(project, shown), shown)
    if as_json:
        typer.echo(json_text(report.to_json()), nl=False)
    else:
        results().print(export_table(report))
