"""`quantkit init`: a project file from a model."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from quantkit.cli.console import feedback, printable
from quantkit.cli.options import OverwriteOption
from quantkit.errors import InputError

if TYPE_CHECKING:
    from quantkit.project.starting import Answers, Question, Start

Triple = tuple[float, float, float]


def init(
    mmpose: Annotated[str | None, typer.Option(help="MMPose config: a file or a name.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Its checkpoint.")] = None,
    onnx: Annotated[Path | None, typer.Option(help="ONNX file.")] = None,
    ncnn: Annotated[
        tuple[Path, Path] | None, typer.Option(help="ncnn pair.", metavar="PARAM BIN")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The embedded default.")] = False,
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Input size.", metavar="WIDTH HEIGHT")
    ] = None,
    mean: Annotated[
        Triple | None,
        typer.Option(help="Mean of each channel, for pixels of 0 to 255.", metavar="C C C"),
    ] = None,
    std: Annotated[
        Triple | None, typer.Option(help="Standard deviation of each channel.", metavar="C C C")
    ] = None,
    color: Annotated[str | None, typer.Option(help="Channel order: rgb, bgr or gray.")] = None,
    output: Annotated[
        list[str] | None, typer.Option(help="Output of the head; twice for SimCC, x and then y.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Head: heatmap, simcc or none.")] = None,
    decode: Annotated[
        str | None, typer.Option(help="Its decoding: default, dark, udp or udp_combined.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the project file is written.")] = Path(),
    overwrite: OverwriteOption = False,
) -> None:
    """Write quantkit.toml for a model; paths in it are relative to its folder.

    What the files of a network do not tell is asked on a terminal, and else left as "?".
    """
    from quantkit.data.preprocess import Color
    from quantkit.demo.project_files import materialize
    from quantkit.evaluation.head import Decode, HeadType
    from quantkit.project.starting import Answers
    from quantkit.storage import write_result

    if demo:
        with feedback() as shown:
            materialize(folder, shown, overwrite=overwrite)
    else:
        answers = Answers(
            size=size,
            mean=mean,
            std=std,
            color=cast("Color | None", _choice("color", color, get_args(Color))),
            outputs=tuple(output or ()),
            head=cast("HeadType | None", _choice("head", head, get_args(HeadType))),
            decode=cast("Decode | None", _choice("decode", decode, get_args(Decode))),
        )
        start = _start(_source(mmpose, checkpoint, onnx, ncnn, folder), answers)
        start = replace(start, name=name or start.name)
        write_result(folder / "quantkit.toml", start.text(), overwrite=overwrite)
        for note in start.notes:
            typer.echo(printable(note), err=True)
    typer.echo(f"{folder / 'quantkit.toml'}")


def _choice(option: str, value: str | None, choices: tuple[str, ...]) -> str | None:
    if value is not None and value not in choices:
        message = f"--{option}: expected one of {', '.join(choices)}, got {value!r}"
        raise InputError(message)
    return value


def _source(
    mmpose: str | None,
    checkpoint: Path | None,
    onnx: Path | None,
    ncnn: tuple[Path, Path] | None,
    folder: Path,
) -> "Callable[[Answers], Start]":
    from quantkit.project.starting import start_from_mmpose, start_from_ncnn, start_from_onnx

    if [mmpose, onnx, ncnn].count(None) != 2:
        message = "give one of --mmpose, --onnx, --ncnn or --demo"
        raise InputError(message)
    if mmpose is not None:
        return lambda answers: start_from_mmpose(mmpose, checkpoint, folder, answers)
    if onnx is not None:
        return lambda answers: start_from_onnx(onnx, folder, answers)
    assert ncnn is not None
    return lambda answers: start_from_ncnn(*ncnn, folder, answers)


def _start(source: "Callable[[Answers], Start]", answers: "Answers") -> "Start":
    start = source(answers)
    # What the person answers can raise one more question: which outputs, once the head is known.
    while start.questions and sys.stdin.isatty() and sys.stderr.isatty():
        answers = _asked(start.questions, answers)
        start = source(answers)
    return start


def _asked(questions: "Sequence[Question]", answers: "Answers") -> "Answers":
    for question in questions:
        value = typer.prompt(
            printable(question.text),
            default=question.default,
            value_proc=partial(_parsed, question.key),
            err=True,
        )
        answers = replace(answers, **{question.key: value})
    return answers


def _parsed(key: str, text: Any) -> Any:
    words = str(text).replace(",", " ").split()
    if key == "outputs":
        return tuple(words)
    choices = {"color": ("rgb", "bgr"), "head": ("heatmap", "simcc")}.get(key)
    if choices is not None:
        if str(text) not in choices:
            message = f"one of {', '.join(choices)}"
            raise typer.BadParameter(message)
        return str(text)
    try:
        values = tuple(float(word) for word in words)
    except ValueError as error:
        raise typer.BadParameter("numbers") from error
    if len(values) not in (1, 3):
        message = "one number a channel"
        raise typer.BadParameter(message)
    return values if len(values) == 3 else values * 3
