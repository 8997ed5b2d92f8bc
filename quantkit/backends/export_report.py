"""What an export made, as it lies in `export.json` beside the files."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.model.export.compare import Difference
from quantkit.model.source import NcnnFiles, OnnxFile
from quantkit.storage import json_text, read_json, sha256_file, write_atomically

REPORT: Final = "export.json"
ONNX: Final = "model.onnx"


@dataclass(frozen=True)
class ExportStep:
    """One conversion.

    Args:
        name: What became what: "simplified onnx -> ncnn".
        tool: The package that converted, with its version.
        notes: What was mended on the way.
        seconds: Wall-clock time of the conversion, without the comparison.
        peak_mb: Highest memory of the conversion, in megabytes.
        size_mb: Size of what it made, in megabytes.
        difference: How far it moved the outputs; None for the first form of a network.
    """

    name: str
    tool: str
    notes: tuple[str, ...]
    seconds: float
    peak_mb: float
    size_mb: float
    difference: Difference | None


@dataclass(frozen=True)
class ExportReport:
    """All conversions of a network, and where what they made lies.

    Args:
        steps: The conversions, in order; none where the source is in ncnn's form already.
        onnx: The simplified ONNX file; None where the source is in ncnn's form.
        ncnn: The fp32 ncnn network.
        hashes: SHA-256 of each file that was made, by its name.
        key: Content key of everything that the export depends on.
        reused: Whether the files were there already.
    """

    steps: tuple[ExportStep, ...]
    onnx: OnnxFile | None
    ncnn: NcnnFiles
    hashes: dict[str, str]
    key: str
    reused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Make a JSON object; paths are relative to the folder of the files."""
        return {
            "schema": 1,
            "key": self.key,
            "steps": [_step_to_json(step) for step in self.steps],
            "onnx": self.onnx
            and {
                "file": self.onnx.path.name,
                "input": self.onnx.input,
                "outputs": list(self.onnx.outputs),
            },
            "ncnn": {
                "param": self.ncnn.param.name,
                "bin": self.ncnn.bin.name,
                "input": self.ncnn.input,
                "outputs": list(self.ncnn.outputs),
            },
            "sha256": self.hashes,
        }


@dataclass(frozen=True)
class OnnxReport:
    """The conversions up to ONNX, which is all that some backends need.

    Args:
        steps: The conversions, in order.
        onnx: The ONNX file: the simplified one, or the last that was made before a failure.
        hashes: SHA-256 of the file, by its name.
        key: Content key of everything that the export depends on.
        failed: Type and message of the error that ended the way to ncnn; None where none did yet.
        reused: Whether the file was there already.
    """

    steps: tuple[ExportStep, ...]
    onnx: OnnxFile
    hashes: dict[str, str]
    key: str
    failed: tuple[str, str] | None = None
    reused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Make a JSON object; paths are relative to the folder of the file."""
        whole = ExportReport(self.steps, self.onnx, NcnnFiles(Path(), Path(), "", ()), {}, "")
        failed = self.failed and {"type": self.failed[0], "message": self.failed[1]}
        changed = {"key": self.key, "sha256": self.hashes, "ncnn": None, "failed": failed}
        return whole.to_json() | changed


def write_report(report: ExportReport | OnnxReport, folder: Path) -> None:
    """Write `export.json`; it comes last, so that it vouches for files that are whole."""
    write_atomically(folder / REPORT, json_text(report.to_json()))


def reusable_report(folder: Path, key: str) -> ExportReport | None:
    """Read the report of an earlier export, if it had the same inputs and its files are unchanged.

    Args:
        folder: The folder of the files.
        key: Content key of what an export would depend on now.
    """
    report = last_report(folder)
    return report if report is not None and report.key == key else None


def last_report(folder: Path) -> ExportReport | None:
    """Read the report of an earlier export, whatever its inputs were, if its files are unchanged.

    Args:
        folder: The folder of the files.
    """
    try:
        report = _from_json(read_json(folder / REPORT), folder)
        unchanged = all(sha256_file(folder / n) == h for n, h in report.hashes.items())
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return report if unchanged else None


def reusable_onnx(folder: Path, key: str) -> OnnxReport | None:
    """Read how far an earlier export came, whether it reached ncnn or not.

    Args:
        folder: The folder of the files.
        key: Content key of what an export would depend on now.
    """
    try:
        value = read_json(folder / REPORT)
        onnx, failed, hashes = value["onnx"], value.get("failed"), dict(value["sha256"])
        steps = tuple(_step_from_json(step) for step in value["steps"])
        report = OnnxReport(
            steps=steps if value["ncnn"] is None else steps[:-1],
            onnx=OnnxFile(folder / onnx["file"], onnx["input"], tuple(onnx["outputs"])),
            hashes={onnx["file"]: hashes[onnx["file"]]},
            key=value["key"],
            failed=None if failed is None else (failed["type"], failed["message"]),
            reused=True,
        )
        unchanged = all(sha256_file(folder / n) == h for n, h in report.hashes.items())
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return report if report.key == key and unchanged else None


def _from_json(value: dict[str, Any], folder: Path) -> ExportReport:
    onnx, ncnn = value["onnx"], value["ncnn"]
    return ExportReport(
        steps=tuple(_step_from_json(step) for step in value["steps"]),
        onnx=None
        if onnx is None
        else OnnxFile(folder / onnx["file"], onnx["input"], tuple(onnx["outputs"])),
        ncnn=NcnnFiles(
            folder / ncnn["param"], folder / ncnn["bin"], ncnn["input"], tuple(ncnn["outputs"])
        ),
        hashes=dict(value["sha256"]),
        key=value["key"],
        reused=True,
    )


def _step_to_json(step: ExportStep) -> dict[str, Any]:
    value = asdict(step) | {"notes": list(step.notes)}
    if step.difference is not None and math.isinf(step.difference.sqnr_db):
        # JSON has no infinity; nothing differs.
        value["difference"] |= {"sqnr_db": None}
    return value


def _step_from_json(value: dict[str, Any]) -> ExportStep:
    given = value["difference"]
    if given is not None:
        noiseless = given["sqnr_db"] is None
        given = Difference(**given | {"sqnr_db": math.inf if noiseless else given["sqnr_db"]})
    return ExportStep(**value | {"notes": tuple(value["notes"]), "difference": given})
