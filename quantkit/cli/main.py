"""The `quantkit` command: its subcommands, and how an error becomes a line and an exit code."""

import sys
from typing import Annotated

import typer

from quantkit import __version__
from quantkit.cli import (
    calibrate,
    demo,
    doctor,
    evaluate,
    export,
    init,
    quantize,
    report,
    select,
    sensitivity,
    table,
)
from quantkit.cli.console import printable
from quantkit.errors import QuantkitError

INTERRUPTED = 130

app = typer.Typer(
    name="quantkit",
    help="How much AP does int8 cost, which layers cost it, and what to do about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Choose what all subcommands share."""
    if version:
        print(f"quantkit {__version__}")
        raise typer.Exit


for name, command in (
    ("doctor", doctor.doctor),
    ("init", init.init),
    ("export", export.export),
    ("select", select.select),
    ("calibrate", calibrate.calibrate),
    ("quantize", quantize.quantize),
    ("sensitivity", sensitivity.sensitivity),
    ("eval", evaluate.evaluate),
    ("report", report.report),
    ("demo", demo.demo),
):
    app.command(name)(command)
app.add_typer(table.app, name="table")


def main() -> None:
    """Run the command line; every error that a user can meet ends in one line and its code."""
    try:
        app()
    except QuantkitError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer has turned the interrupt into this already.
        if end.code == INTERRUPTED:
            print("stopped: the same command goes on where it was", file=sys.stderr)
        raise
