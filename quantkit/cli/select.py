"""`quantkit select`: the crops that calibrate the model, their proof, and how many it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quantkit.cli.console import feedback, printable, results
from quantkit.cli.options import (
    CountOption,
    JsonOption,
    OverwriteOption,
    ProjectOption,
    SeedOption,
    SelectOption,
    ThreadsOption,
    open_project,
)
from quantkit.errors import GateFailed, InputError

if TYPE_CHECKING:
    from quantkit.project import Project
    from quantkit.selection.manifest import CalibrationSet

_SHARED: Final = ("project", "as_json", "threads")
_OF_CURVE: Final = ("seeds", "sizes", "held_out")
_TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "verify": (*_SHARED, "verify", "sheet"),
    "curve": (*_SHARED, "curve", "method", *_OF_CURVE),
}
"""What may be given beside the options that ask for something else than a choice."""


def select(
    context: typer.Context,
    project: ProjectOption = None,
    strategy: SelectOption = None,
    count: CountOption = None,
    seed: SeedOption = 0,
    among: Annotated[
        int,
        typer.Option(
            help="Of larger data so many persons are drawn before images are read or the network"
            " is run (all strategies but random and first).",
            min=1,
        ),
    ] = 512,
    refuse_outliers: Annotated[
        bool,
        typer.Option(
            "--refuse-outliers",
            help="Do not choose persons that alone set the largest value of a layer's input.",
        ),
    ] = False,
    name: str | None = typer.Option(None, help="Name of the set (default: from the choice)."),
    sheet: Annotated[
        bool | None,
        typer.Option(
            "--sheet/--no-sheet",
            help="Draw the crops as a picture (default: yes, but not with --verify).",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Prove a set instead: compare all that it says with what is there now; exit with"
            " 1 if something differs.",
        ),
    ] = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="Measure instead how many crops a table needs.")
    ] = False,
    method: Annotated[
        str,
        typer.Option(help="How thresholds are chosen, with --curve or --strategy measured."),
    ] = "kl",
    seeds: Annotated[
        int, typer.Option(help="With --curve: how many sets of each size are drawn.")
    ] = 5,
    sizes: Annotated[
        str | None,
        typer.Option(help="With --curve: sizes of the sets, such as 8,16,32 (default: to 512)."),
    ] = None,
    held_out: Annotated[
        int, typer.Option(help="With --curve: how many persons judge at most.")
    ] = 64,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Choose person crops from the calibration data and write their manifest to calib_sets/.

    With --verify NAME: prove a set. With --curve: measure how tables settle with the number of
    crops, and say how many are enough.
    """
    _refuse_what_does_not_go_together(context)
    if verify is not None:
        _verify(project, verify, threads, sheet=bool(sheet), as_json=as_json)
        return
    if curve:
        _measure(project, method, seeds, sizes, held_out, threads, as_json=as_json)
        return
    from quantkit.project.choosing import choose_set
    from quantkit.project.selection_request import DEFAULT_STRATEGY, SelectionRequest
    from quantkit.project.set_sheets import write_sheet

    request = SelectionRequest(
        strategy or DEFAULT_STRATEGY, count, seed, among, refuse_outliers, method
    )
    if _is_given(context, "method") and not request.measures:
        raise InputError("--method goes with --curve or --strategy measured only")
    with feedback() as shown:
        opened = open_project(project, shown)
        chosen = choose_set(
            opened,
            request,
            name=name,
            threads=threads,
            feedback=shown,
            overwrite=overwrite,
        )
        if sheet is not False:
            write_sheet(opened, chosen, shown)
    _show(opened, chosen, as_json=as_json)


def _show(project: "Project", chosen: "CalibrationSet", *, as_json: bool) -> None:
    from quantkit.project.choosing import set_path
    from quantkit.storage import from_here

    path = set_path(project, chosen.name)
    if as_json:
        typer.echo(path.read_text(), nl=False)
    else:
        images = len({entry.image_id for entry in chosen.entries})
        typer.echo(f"{len(chosen.entries)} crops of {images} images: {from_here(path)}")


def _verify(project: Path | None, name: str, threads: int, *, sheet: bool, as_json: bool) -> None:
    from quantkit.project.choosing import choose_again, set_path
    from quantkit.project.exporting import network_at_hand
    from quantkit.project.set_sheets import write_sheet
    from quantkit.project.verifying import verify_set
    from quantkit.selection.manifest import read_calibration_set
    from quantkit.storage import json_text

    with feedback() as shown:
        opened = open_project(project, shown)
        found = verify_set(
            opened,
            name,
            model_sha256=network_at_hand(opened),
            replay=lambda chosen: choose_again(opened, chosen, shown, threads),
            feedback=shown,
        )
        if sheet and found.ok:
            write_sheet(opened, read_calibration_set(set_path(opened, name)), shown)
    if as_json:
        typer.echo(json_text(found.to_json()), nl=False)
    else:
        typer.echo("\n".join(map(printable, found.lines())))
    if not found.ok:
        raise GateFailed(found.lines()[-1])


def _measure(
    project: Path | None,
    method: str,
    seeds: int,
    sizes: str | None,
    held_out: int,
    threads: int,
    *,
    as_json: bool,
) -> None:
    from quantkit.project.candidates import find_outliers
    from quantkit.project.curve_picture import write_curve_picture
    from quantkit.project.curve_sheet import write_outlier_sheet
    from quantkit.project.curving import measure_curve
    from quantkit.report.curve import curve_table

    asked = None if sizes is None else _numbers(sizes)
    with feedback() as shown:
        opened = open_project(project, shown)
        report = measure_curve(
            opened,
            method=method,
            seeds=seeds,
            sizes=asked,
            held_out=held_out,
            threads=threads,
            outliers=lambda persons: find_outliers(opened, persons, shown, threads),
            feedback=shown,
        )
        write_curve_picture(opened, report, shown)
        write_outlier_sheet(opened, report, shown)
    if as_json:
        typer.echo(report.text(), nl=False)
    else:
        results().print(curve_table(report))


def _numbers(sizes: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in sizes.split(","))
    except ValueError as error:
        message = f"--sizes takes ascending numbers such as 8,16,32, got '{sizes}'"
        raise InputError(message) from error


def _refuse_what_does_not_go_together(context: typer.Context) -> None:
    given = [name for name in context.params if _is_given(context, name)]
    asked = next((name for name in _TOGETHER if name in given), None)
    for name in given:
        flag = f"--{name.replace('_', '-')}"
        if asked is None and name in _OF_CURVE:
            raise InputError(f"{flag} goes with --curve only")
        if asked is not None and name not in _TOGETHER[asked]:
            raise InputError(f"{flag} does not go with --{asked}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
