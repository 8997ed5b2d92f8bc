"""`quantkit calibrate`: a calibration set, its statistics, the table and the int8 model."""

from dataclasses import replace
from typing import Literal

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import (
    CalibSetOption,
    CountOption,
    JsonOption,
    KeepFp32Option,
    MethodOption,
    OverwriteOption,
    ProjectOption,
    SeedOption,
    SelectOption,
    ThreadsOption,
    open_project,
)
from quantkit.errors import InputError


def calibrate(
    project: ProjectOption = None,
    method: MethodOption = None,
    fast: bool = typer.Option(
        False, "--fast", help="KL alone, without the steps of 'best': much quicker."
    ),
    compat: Literal["ncnn2table"] | None = typer.Option(
        None, help="Do all as ncnn2table does, with --method kl, aciq or eq."
    ),
    equalize: bool = typer.Option(True, help="Step of 'best': make channels alike."),
    search: bool = typer.Option(True, help="Step of 'best': thresholds by the outputs."),
    rounding: bool = typer.Option(True, help="Step of 'best': round by what a layer gives."),
    bias: bool = typer.Option(True, help="Step of 'best': correct biases for rounding."),
    learning: int = typer.Option(
        300, help="Step of 'best': so many of learning from the fp32 outputs; 0 for none.", min=0
    ),
    fp32_share: float = typer.Option(
        0.0, help="Share of the work that 'best' may leave in fp32.", min=0, max=1
    ),
    forms: bool = typer.Option(
        False,
        "--forms",
        help="Step of 'best': scales for each channel and zero points of layers' inputs, in place"
        " of --search and --learning. Less error, more time a frame; ncnn alone.",
    ),
    budget: str = typer.Option(
        "10m",
        help="Time that 'best' may take, such as 30s, 5m or 1h, or none; what does not fit is"
        " left out.",
    ),
    calib_set: CalibSetOption = None,
    select: SelectOption = None,
    count: CountOption = None,
    seed: SeedOption = 0,
    name: str | None = typer.Option(None, help="Name of the table (default: the method)."),
    keep_hazards: bool = typer.Option(
        False, "--keep-hazards", help="Also quantize the layers that the runtime gets wrong."
    ),
    keep_fp32: KeepFp32Option = None,
    threads: ThreadsOption = 2,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose the calibration set, write the ncnn int8 table and the int8 model."""
    from quantkit.project.calibrating import calibrate_model
    from quantkit.project.calibration_request import (
        BEST,
        CalibrationRequest,
        default_selection,
    )
    from quantkit.sensitivity.plan import budget_seconds
    from quantkit.storage import json_text
    from quantkit.tuning.recipe import Recipe

    if fast and (method or compat):
        message = "--fast is a method of its own; leave --method and --compat out"
        raise InputError(message)
    method = method or ("kl" if fast or compat else BEST)
    selection = default_selection(method, select)
    request = CalibrationRequest(
        method=method,
        compat=compat is not None,
        recipe=Recipe(equalize, search, rounding, bias, learning, fp32_share, forms),
        calib_set=calib_set,
        selection=replace(selection, count=count, seed=seed),
        name=name,
        keep_hazards=keep_hazards,
        budget_s=budget_seconds(budget),
        keep_fp32=tuple(keep_fp32 or ()),
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
