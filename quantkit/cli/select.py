"""`quantkit select`: the crops that will calibrate the model."""

import typer

from quantkit.cli.console import feedback
from quantkit.cli.options import (
    CountOption,
    JsonOption,
    OverwriteOption,
    ProjectOption,
    SeedOption,
    SelectOption,
    open_project,
)


def select(
    project: ProjectOption = None,
    method: SelectOption = "random",
    count: CountOption = None,
    seed: SeedOption = 0,
    name: str | None = typer.Option(None, help="Name of the set (default: from the choice)."),
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose person crops from the calibration data and write their manifest to calib_sets/."""
    from quantkit.project.choosing import choose_set, set_path
    from quantkit.storage import from_here

    with feedback() as shown:
        opened = open_project(project, shown)
        chosen = choose_set(
            opened,
            method=method,
            count=count,
            seed=seed,
            name=name,
            feedback=shown,
            overwrite=overwrite,
        )
    path = set_path(opened, chosen.name)
    if as_json:
        typer.echo(path.read_text(), nl=False)
    else:
        images = len({entry.image_id for entry in chosen.entries})
        typer.echo(f"{len(chosen.entries)} crops of {images} images: {from_here(path)}")
