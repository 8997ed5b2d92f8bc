"""`quantkit calibrate`: a calibration set, its statistics, the table and the int8 model."""

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import (
    CalibSetOption,
    CountOption,
    JsonOption,
    MethodOption,
    OverwriteOption,
    ProjectOption,
    SeedOption,
    SelectOption,
    ThreadsOption,
    open_project,
)


def calibrate(
    project: ProjectOption = None,
    method: MethodOption = "kl",
    calib_set: CalibSetOption = None,
    select: SelectOption = "random",
    count: CountOption = None,
    seed: SeedOption = 0,
    name: str | None = typer.Option(None, help="Name of the table [default: the method]."),
    keep_hazards: bool = typer.Option(
        False, "--keep-hazards", help="Also quantize the layers that the runtime gets wrong."
    ),
    threads: ThreadsOption = 2,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose the calibration set, write the ncnn int8 table and the int8 model."""
    from quantkit.project.calibrating import CalibrationRequest, calibrate_model
    from quantkit.storage import json_text

    request = CalibrationRequest(
        method=method,
        calib_set=calib_set,
        select=select,
        count=count,
        seed=seed,
        name=name,
        keep_hazards=keep_hazards,
    )
    with feedback() as shown:
        result = calibrate_model(
            open_project(project, shown),
            request,
            threads=threads,
            feedback=shown,
            overwrite=overwrite,
        )
    if as_json:
        typer.echo(json_text(result.to_json()), nl=False)
    else:
        typer.echo("\n".join(result.lines()))
