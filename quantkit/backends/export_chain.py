"""The export: MMPose -> ONNX -> simplified ONNX -> ncnn, each compared with the one before it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.artifact import Artifact
from quantkit.backends.export_key import export_key
from quantkit.backends.export_report import (
    ONNX,
    ExportReport,
    ExportStep,
    OnnxReport,
    reusable_onnx,
    reusable_report,
    write_report,
)
from quantkit.backends.first_forward import BOUND, write_runnable
from quantkit.backends.names import BackendName
from quantkit.backends.network_check import check_conversion, check_pair
from quantkit.backends.process import open_runner
from quantkit.errors import (
    BackendDied,
    GateFailed,
    InputError,
    NotFinite,
    QuantkitError,
    Unavailable,
)
from quantkit.model.export.compare import Outputs, check_difference, compare
from quantkit.model.export.native import NativeRun
from quantkit.model.export.onnx_file import operator_types, opset, quantized_operators
from quantkit.model.export.simplify import repair_onnx, simplify_onnx
from quantkit.model.export.to_ncnn import converter, onnx_to_ncnn
from quantkit.model.export.to_onnx import exporter, mmpose_to_onnx
from quantkit.model.network import put_right
from quantkit.model.param import read_param
from quantkit.model.source import MMPoseSource, NcnnFiles, OnnxFile
from quantkit.progress import Feedback
from quantkit.storage import from_here, sha256_file

_SILENT: Final = Feedback()
_ERRORS: Final[dict[str, type[QuantkitError]]] = {
    kind.__name__: kind for kind in (InputError, NotFinite, GateFailed, Unavailable, BackendDied)
}
_LASTING: Final = ("InputError", "NotFinite")
"""Failures that come again as long as nothing changes."""


def export(
    source: MMPoseSource | OnnxFile | NcnnFiles,
    samples: Sequence[NDArray[np.float32]],
    work_dir: Path,
    *,
    bound: float = BOUND,
    threads: int = 2,
    feedback: Feedback = _SILENT,
) -> ExportReport:
    """Convert a network to ncnn, or reuse what an unchanged network became before.

    Args:
        source: The network; ONNX enters at the simplification, ncnn passes through.
        samples: Normalised crops (channels, height, width) on which every step is compared.
        work_dir: Where `model.onnx`, `model.param`, `model.bin` and `export.json` go.
        bound: Largest difference that a step may make, as a share of an output's range.
        threads: Threads of the backends that run the comparison.
        feedback: Told each step.

    Raises:
        InputError: The network cannot be converted, or there is no crop to compare it on.
        GateFailed: A step moves the outputs by more than the bound.
        Unavailable: A package that the conversion needs is not installed.
        BackendDied: A conversion or a backend crashed or hung.
    """
    if not samples:
        message = "an export needs at least one crop to compare its steps on"
        raise InputError(message)
    key = export_key(source, samples)
    if isinstance(source, NcnnFiles):
        check_pair(source, samples[0].shape)
        pair, mended = put_right(source, work_dir)
        pair, rewritten = write_runnable(pair, samples[0].shape, work_dir)
        for note in (*mended, *rewritten):
            feedback.note(f"{source.param.name}: {note}")
        return ExportReport(steps=(), onnx=None, ncnn=pair, hashes={}, key=key)
    earlier = reusable_report(work_dir, key)
    if earlier is not None:
        feedback.note(f"export: nothing changed, {from_here(work_dir)} reused")
        return earlier
    first = export_onnx(source, samples, work_dir, bound=bound, threads=threads, feedback=feedback)
    if first.failed is not None:
        kind, message = first.failed
        raise _ERRORS[kind](message)
    try:
        with _chain(source, samples, work_dir, bound, threads, feedback) as chain:
            chain.steps = list(first.steps)
            report = chain.to_ncnn(first, _name(source), work_dir)
    except tuple(_ERRORS.values()) as error:
        write_report(replace(first, failed=(type(error).__name__, str(error))), work_dir)
        raise
    write_report(report, work_dir)
    return report


def export_onnx(
    source: MMPoseSource | OnnxFile,
    samples: Sequence[NDArray[np.float32]],
    work_dir: Path,
    *,
    bound: float = BOUND,
    threads: int = 2,
    feedback: Feedback = _SILENT,
) -> OnnxReport:
    """Convert a network to ONNX only, or reuse what an earlier export made, whatever came of it.

    Args:
        source: The network; ONNX enters at the simplification.
        samples: As for `export`.
        work_dir: Where `model.onnx` and `export.json` go.
        bound: As for `export`.
        threads: As for `export`.
        feedback: Told each step.

    Returns:
        The simplified network. Where it cannot be simplified, or is int8 already, the network as it
        was given, with the reason why it does not become ncnn.

    Raises:
        InputError: There is no ONNX network with the input and outputs that are named.
        GateFailed: The exporter moves the outputs by more than the bound.
        Unavailable: MMPose is not installed.
        BackendDied: The exporter crashed or hung.
    """
    key = export_key(source, samples)
    earlier = reusable_onnx(work_dir, key)
    if earlier is not None and (earlier.failed is None or earlier.failed[0] in _LASTING):
        feedback.note(f"export: nothing changed, {from_here(earlier.onnx.path)} reused")
        return earlier
    with _chain(source, samples, work_dir, bound, threads, feedback) as chain:
        report = chain.to_onnx(source, key, work_dir)
    write_report(report, work_dir)
    return report


@contextmanager
def _chain(
    source: MMPoseSource | OnnxFile,
    samples: Sequence[NDArray[np.float32]],
    work_dir: Path,
    bound: float,
    threads: int,
    feedback: Feedback,
) -> "Iterator[_Chain]":
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot be made ({error.strerror})"
        raise InputError(message, path=work_dir) from error
    _remove_leftovers(work_dir)
    total = 3 if isinstance(source, MMPoseSource) else 2
    with (
        tempfile.TemporaryDirectory(prefix=f".export-{os.getpid()}-", dir=work_dir) as folder,
        _as_the_user_knows_them(Path(folder), _name(source)),
    ):
        yield _Chain(Path(folder), samples, bound, threads, feedback, total)


@dataclass
class _Chain:
    """The steps of one export, and the outputs of the newest form of the network."""

    folder: Path
    samples: Sequence[NDArray[np.float32]]
    bound: float
    threads: int
    feedback: Feedback
    total: int
    steps: list[ExportStep] = field(default_factory=list)
    outputs: list[Outputs] = field(default_factory=list)

    def to_onnx(self, source: MMPoseSource | OnnxFile, key: str, work_dir: Path) -> OnnxReport:
        notes: tuple[str, ...] = ()
        failed: tuple[str, str] | None = None
        raw_path = self.folder / "raw.onnx"
        if isinstance(source, MMPoseSource):
            raw = self._from_mmpose(source)
        else:
            raw, notes = repair_onnx(source, raw_path, self.samples[0].shape)
        made = raw
        try:
            _refuse_int8(raw.path, _name(source))
            if not self.outputs:
                self.outputs = self._outputs("onnxruntime", raw)
            made = self._simplified(raw, notes)
        except tuple(_ERRORS.values()) as error:
            message = _with_known_names(str(error), self.folder, _name(source))
            failed = (type(error).__name__, message)
        path = made.path.replace(work_dir / ONNX)
        return OnnxReport(
            steps=tuple(self.steps),
            onnx=replace(made, path=path),
            hashes={ONNX: sha256_file(path)},
            key=key,
            failed=failed,
        )

    def _simplified(self, raw: OnnxFile, notes: tuple[str, ...]) -> OnnxFile:
        onnx, used = simplify_onnx(raw, self.folder / ONNX, self.samples[0].shape)
        name = f"onnxsim {version('onnxsim')}"
        self._finish("onnx -> simplified onnx", name, "onnxruntime", onnx, used, notes)
        return onnx

    def to_ncnn(self, first: OnnxReport, name: str, work_dir: Path) -> ExportReport:
        tool = converter()
        onnx, shape = first.onnx, self.samples[0].shape
        self.outputs = self._outputs("onnxruntime", onnx)
        ncnn, used = onnx_to_ncnn(onnx, self.folder, shape)
        check_conversion(read_param(ncnn.param), name, lambda: operator_types(onnx.path))
        ncnn, notes = put_right(ncnn, self.folder)
        ncnn, rewritten = write_runnable(ncnn, shape, self.folder)
        notes += rewritten
        for note in notes:
            self.feedback.note(f"what pnnx wrote: {note}")
        self._finish("simplified onnx -> ncnn", tool, "ncnn", ncnn, used, notes)
        files = [path.replace(work_dir / path.name) for path in (ncnn.param, ncnn.bin)]
        return ExportReport(
            steps=tuple(self.steps),
            onnx=onnx,
            ncnn=replace(ncnn, param=files[0], bin=files[1]),
            hashes=first.hashes | {path.name: sha256_file(path) for path in files},
            key=first.key,
        )

    def _from_mmpose(self, source: MMPoseSource) -> OnnxFile:
        self.outputs = self._outputs("pytorch", source)
        raw, used = mmpose_to_onnx(source, self.folder / "raw.onnx")
        self._finish(
            "mmpose -> onnx", exporter(), "onnxruntime", raw, used, (f"opset {opset(raw.path)}",)
        )
        return raw

    def _finish(
        self,
        name: str,
        tool: str,
        backend: BackendName,
        artifact: OnnxFile | NcnnFiles,
        used: NativeRun,
        notes: tuple[str, ...] = (),
    ) -> None:
        outputs = self._outputs(backend, artifact)
        difference = compare(self.outputs, outputs)
        check_difference(name, difference, self.bound)
        step = ExportStep(
            name=name,
            tool=tool,
            notes=notes,
            seconds=round(used.seconds, 3),
            peak_mb=round(used.peak_mb, 1),
            size_mb=_size_mb(artifact),
            difference=difference,
        )
        self.outputs = outputs
        self.steps.append(step)
        self.feedback.progress("export", len(self.steps), self.total)

    def _outputs(self, backend: BackendName, artifact: Artifact) -> list[Outputs]:
        with open_runner(backend, artifact, threads=self.threads) as runner:
            return list(runner.stream(self.samples))


def _name(source: MMPoseSource | OnnxFile) -> str:
    return source.config if isinstance(source, MMPoseSource) else source.path.name


def _refuse_int8(path: Path, name: str) -> None:
    if operators := quantized_operators(path):
        counted = ", ".join(f"{count} {kind}" for kind, count in operators.items())
        message = (
            f"is an int8 network already ({counted}): it runs as it is where ONNX does; give its "
            "fp32 network for ncnn and for a table"
        )
        raise InputError(message, path=name)


@contextmanager
def _as_the_user_knows_them(folder: Path, name: str) -> Iterator[None]:
    """Name a file of a step by what it was made of: it is gone when the message is read."""
    try:
        yield
    except QuantkitError as error:
        text = _with_known_names(str(error), folder, name)
        if text == str(error):
            raise
        raise type(error)(text) from error


def _with_known_names(message: str, folder: Path, name: str) -> str:
    forms = {
        "raw.onnx": "",
        ONNX: " (simplified)",
        ".param": " (made by pnnx)",
        ".bin": " (made by pnnx)",
    }
    inside = re.compile(rf"{re.escape(str(folder))}(/[^\s:;'\"]*)?")

    def known(found: re.Match[str]) -> str:
        return name + next((form for end, form in forms.items() if found[0].endswith(end)), "")

    return inside.sub(known, message)


def _remove_leftovers(work_dir: Path) -> None:
    """Remove what an export that was killed left; it can be a gigabyte."""
    for folder in work_dir.glob(".export-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _size_mb(artifact: OnnxFile | NcnnFiles) -> float:
    files = (artifact.path,) if isinstance(artifact, OnnxFile) else (artifact.param, artifact.bin)
    return round(sum(path.stat().st_size for path in files) / 1e6, 3)
