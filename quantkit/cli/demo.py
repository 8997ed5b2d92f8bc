"""`quantkit demo`: the whole way on the embedded default."""

from pathlib import Path
from typing import Annotated

import typer

from quantkit.cli.console import feedback, results
from quantkit.cli.options import OverwriteOption, ThreadsOption


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path(
        "quantkit-demo"
    ),
    threads: ThreadsOption = 2,
    overwrite: OverwriteOption = False,
) -> None:
    """Export, calibrate, rank and evaluate the embedded pose network, in minutes."""
    from quantkit.demo.walkthrough import walkthrough
    from quantkit.report.evaluation import evaluation_table
    from quantkit.report.sensitivity import sensitivity_table
    from quantkit.report.sentences import reasons
    from quantkit.storage import from_here

    with feedback() as shown:
        result = walkthrough(folder, threads=threads, feedback=shown, overwrite=overwrite)
    console = results()
    console.print(evaluation_table(result.comparison, console.width))
    for reason in reasons(result.comparison):
        console.print(reason)
    console.print()
    console.print(sensitivity_table(result.sensitivity, worst=5))
    console.print()
    for what, where in result.files:
        console.print(f"{what:<18} {from_here(where)}", soft_wrap=True)
