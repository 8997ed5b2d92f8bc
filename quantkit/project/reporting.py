"""The report step: what has been measured of a model, as pictures and one HTML file."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from quantkit.errors import InputError, QuantkitError
from quantkit.evaluation.comparison import read_comparison
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.project.curve_sheet import outliers_path
from quantkit.project.exporting import network_at_hand
from quantkit.project.layer_views import worst_views
from quantkit.report.contents import Missing, ReportContents
from quantkit.report.html import report_html
from quantkit.report.pictures import OUTLIERS, PICTURES, draw_pictures
from quantkit.report.plots.figure import require_matplotlib
from quantkit.sensitivity.report import read_report
from quantkit.sensitivity.search_report import SearchReport, matching_report
from quantkit.stability.report import CurveReport, read_curve
from quantkit.storage import read_bytes, read_json, write_atomically

_RANK = "quantkit sensitivity"
_CURVE = "quantkit select --curve"
_FILES = ("eval/eval.json", "sensitivity.json", "search.json", "curve.json")

Found = TypeVar("Found")


def write_report(project: Project, *, threads: int = 2, feedback: Feedback) -> Path:
    """Write work_dirs/MODEL/report.html, and its pictures into report/ beside it.

    Nothing is measured for it, but for the inputs of the worst layers on a few calibration crops.

    Args:
        project: The project.
        threads: How many crops are run at a time.
        feedback: Told what is missing and what makes it.

    Returns:
        The HTML file.

    Raises:
        InputError: Nothing has been measured, or a file cannot be written.
        Unavailable: matplotlib is not installed.
    """
    folder = project.work_dir
    if not any((folder / name).is_file() for name in _FILES):
        message = (
            f"nothing has been measured of {project.name}: run '{_evaluate(project)}' or '{_RANK}'"
        )
        raise InputError(message)
    require_matplotlib()
    contents = report_contents(project, threads=threads, feedback=feedback)
    for one in contents.missing:
        feedback.note(f"missing: {one.line()}")
    pictures = {**draw_pictures(contents), **_outlier_sheet(project, contents.curve)}
    path = folder / "report.html"
    for name in (*PICTURES, OUTLIERS):
        if name in pictures:
            write_atomically(path.with_suffix("") / name, pictures[name])
        else:
            (path.with_suffix("") / name).unlink(missing_ok=True)
    write_atomically(path, report_html(contents, pictures))
    return path


def report_contents(project: Project, *, threads: int = 2, feedback: Feedback) -> ReportContents:
    """Gather what has been measured.

    Args:
        project: The project.
        threads: How many crops are run at a time.
        feedback: Told how it goes.
    """
    sources = _Sources(project)
    comparison = sources.read(
        "the backends", Path("eval") / "eval.json", read_comparison, _evaluate(project)
    )
    ranking = sources.read("the layers", Path("sensitivity.json"), read_report, _RANK)
    search = sources.read(
        "the fastest mix",
        Path("search.json"),
        lambda path: _read_search(project, path),
        f"{_RANK} {'--max-drop 0.002' if project.head.has_sigmas else '--min-sqnr 25'}",
    )
    looked = ranking and sources.attempt(
        "the worst layers from inside",
        lambda: worst_views(project, ranking, threads=threads, feedback=feedback),
        _RANK,
    )
    # Last: the look at the layers exports the model where it has to be.
    curve = sources.read(
        "how many crops a table needs",
        Path("curve.json"),
        lambda path: _read_curve(project, path),
        _CURVE,
    )
    return ReportContents(
        model=project.name,
        comparison=comparison,
        ranking=ranking,
        search=search,
        views=looked or (),
        curve=curve,
        missing=tuple(sources.missing),
        versions={name: version(name) for name in ("quantkit", "matplotlib")},
    )


def _evaluate(project: Project) -> str:
    return f"quantkit eval --all-backends{'' if project.head.has_sigmas else ' --no-labels'}"


class _Sources:
    """Reads files of the model's folder and remembers what is missing."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.missing: list[Missing] = []

    def read(
        self, what: str, name: Path, reader: Callable[[Path], Found], command: str
    ) -> Found | None:
        path = self._project.work_dir / name
        if not path.is_file():
            self.missing.append(Missing(what, "not measured", command))
            return None
        return self.attempt(what, lambda: reader(path), command)

    def attempt(self, what: str, work: Callable[[], Found], command: str) -> Found | None:
        try:
            return work()
        except QuantkitError as error:
            # The report may be given away: where it was made is nobody's business.
            reason = str(error).replace(f"{self._project.root}/", "")
            self.missing.append(Missing(what, reason, command))
            return None


def _read_search(project: Project, path: Path) -> SearchReport:
    value = read_json(path)
    try:
        key, table = str(value["key"]), str(value["table"])
    except (KeyError, TypeError) as error:
        raise InputError(f"is not a search: {error!r}", path=path) from error
    report = matching_report(path, key, project.tables_dir / f"{table}.table")
    if report is None:
        message = f"is of another version, or table '{table}' is not the one that it wrote"
        raise InputError(message, path=path)
    return report


def _read_curve(project: Project, path: Path) -> CurveReport:
    report = read_curve(path)
    network = network_at_hand(project)
    if network is None:
        message = "is of some network, but the present one is not exported or cannot be read"
        raise InputError(message, path=path)
    if report.model_sha256 != network:
        raise InputError("belongs to another network than the present one", path=path)
    return report


def _outlier_sheet(project: Project, curve: CurveReport | None) -> dict[str, bytes]:
    path = outliers_path(project)
    if curve is None or not curve.outliers or not path.is_file():
        return {}
    return {OUTLIERS: read_bytes(path)}
