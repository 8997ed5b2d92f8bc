"""The options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quantkit.progress import Feedback
    from quantkit.project import Project

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Project file, or its folder (default: found upwards)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that has other content.")
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        help="How thresholds are chosen: best, kl, minmax, aciq, percentile, percentile-99.9"
        " or mse (default: best)."
    ),
]
SelectOption = Annotated[
    str | None,
    typer.Option(
        help="How crops are chosen: first, random, stratified, k_center, herding, coverage,"
        " influence or measured (default: random for 'best', else measured)."
    ),
]
CountOption = Annotated[
    int | None,
    typer.Option(help="How many person crops (default: 128, or 16 where measured).", min=1),
]
SeedOption = Annotated[int, typer.Option(help="Seed of the choice.", min=0)]
CalibSetOption = Annotated[
    str | None,
    typer.Option(help="A set of calib_sets/ by name, instead of choosing one."),
]
TableOption = Annotated[
    str, typer.Option(help="Name of a table in tables/, or the path of any table.")
]
KeepFp32Option = Annotated[
    list[str] | None,
    typer.Option(
        help="Leave layers in fp32 and calibrate around them: a name, 'conv_6*' or type:TYPE;"
        " repeatable."
    ),
]
ParamOption = Annotated[
    Path | None, typer.Option(help="The fp32 .param it is for, instead of the project's model.")
]
BinOption = Annotated[
    Path | None, typer.Option(help="The .bin (default: beside the .param, by its name).")
]
SizeOption = Annotated[
    tuple[int, int] | None,
    typer.Option(help="Width and height of the input, where the .param does not say."),
]
ThreadsOption = Annotated[int, typer.Option(help="Worker threads.", min=1, max=64)]


def open_project(path: Path | None, feedback: "Feedback", *, flip_test: bool = False) -> "Project":
    """Open the project that was named or found, else the embedded default.

    Args:
        path: What was named.
        feedback: Told where it is the embedded default.
        flip_test: Turn the flip test on, whatever the project file says.

    Raises:
        InputError: The project file is wrong.
    """
    from quantkit.demo.project_files import materialize
    from quantkit.project import find_project, load_project

    found = path or find_project(Path.cwd())
    if found is not None:
        return load_project(found, flip_test=flip_test)
    folder = Path.cwd() / "quantkit-demo"
    feedback.note(
        f"no quantkit.toml here or above: running on the embedded default in {folder.name}/"
    )
    materialize(folder, feedback)
    return load_project(folder, flip_test=flip_test)
