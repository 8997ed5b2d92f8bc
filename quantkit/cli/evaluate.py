"""`quantkit eval`: AP on every backend, and the drop of each."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import (
    JsonOption,
    ProjectOption,
    TableOption,
    ThreadsOption,
    open_project,
)
from quantkit.errors import BackendDied, GateFailed, InputError, Unavailable

if TYPE_CHECKING:
    from quantkit.evaluation.comparison import Comparison, Row


def evaluate(
    project: ProjectOption = None,
    all_backends: Annotated[
        bool, typer.Option("--all-backends", help="Every backend; what cannot run says why.")
    ] = False,
    backend: Annotated[list[str] | None, typer.Option(help="One backend; may be repeated.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Measure drops against this backend (default: the first).")
    ] = None,
    table: TableOption = "best",
    max_drop: Annotated[
        float | None, typer.Option(help="Exit with 1 if a backend loses more AP than this.", min=0)
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            help="Stop as soon as it is known whether every drop is within this bound.", min=0
        ),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Boxes only: compare with the baseline's keypoints.")
    ] = False,
    flip_test: Annotated[
        bool,
        typer.Option("--flip-test", help="Show every person mirrored, too, and average."),
    ] = False,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="ONNX file of another tool, as a row of its own; may be repeated."),
    ] = None,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure COCO AP on the backends, and the drop of each against the baseline."""
    from quantkit.project.evaluating import evaluate_backends

    if all_backends == bool(backend):
        message = "give either --all-backends or --backend NAME"
        raise InputError(message)
    if no_labels and (max_drop is not None or until is not None):
        message = "--max-drop and --until bound the AP, which --no-labels does not measure"
        raise InputError(message)
    with feedback() as shown:
        comparison = evaluate_backends(
            open_project(project, shown, flip_test=flip_test),
            backends=tuple(backend) if backend else None,
            baseline=baseline,
            table=table,
            labels=not no_labels,
            until=until,
            also=tuple(also or ()),
            threads=threads,
            feedback=shown,
        )
    if as_json:
        typer.echo(comparison.text(), nl=False)
    else:
        _show(comparison)
    failed = comparison.failed()
    _require(row for row in failed if row.status == "crashed")
    if max_drop is not None or until is not None:
        reason = comparison.unmeasured(None if all_backends else tuple(backend or ()))
        if reason is not None:
            raise GateFailed(f"the drop is not known: {reason}")
    _require(row for row in failed if backend or row.is_of_a_file)
    if max_drop is not None and (over := comparison.over(max_drop)):
        worst = "; ".join(f"{row.backend} {row.ap_drop:+.4f}" for row in over)
        raise GateFailed(f"AP drop over {max_drop}: {worst}")


def _show(comparison: "Comparison") -> None:
    from quantkit.report.evaluation import evaluation_table
    from quantkit.report.sentences import reasons, table_sentence, until_sentence

    console = results()
    console.print(evaluation_table(comparison, console.width))
    for line in (until_sentence(comparison), table_sentence(comparison), *reasons(comparison)):
        if line:
            console.print(line)


def _require(failed: Iterable["Row"]) -> None:
    """Raise what a backend died of, or what kept one that was asked for by name from running."""
    for row in failed:
        kind = BackendDied if row.status == "crashed" else Unavailable
        raise kind(f"{row.backend}: {row.reason}")
