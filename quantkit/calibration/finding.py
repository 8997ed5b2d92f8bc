"""What a check finds: how bad it is, where, what is wrong, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from quantkit.errors import InputError

Severity = Literal["error", "warning", "hint"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say.

    Attributes:
        severity: An error makes a layer wrong or loses it; a warning costs accuracy or surprises;
            a hint is good to know.
        line: Line of the table, counted from 1; None where it is about a line that is missing.
        layer: Name of the layer, where it is about one.
        message: What is wrong.
        fix: What to do about it.

    Example:
        >>> Finding("error", 3, None, "blank line", "remove it").text("kl.table")
        'kl.table:3: error: blank line; remove it'
    """

    severity: Severity
    line: int | None
    layer: str | None
    message: str
    fix: str

    def text(self, path: str) -> str:
        """Write it as one line, as compilers do."""
        place = path if self.line is None else f"{path}:{self.line}"
        return f"{place}: {self.severity}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The layer, what is wrong and what to do."""
        layer = "" if self.layer is None else f"layer '{shortened(self.layer)}': "
        return f"{layer}{self.message}; {self.fix}"


def by_place(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by line, the worst first; those of no line come last."""

    def place(finding: Finding) -> tuple[bool, int, int]:
        return finding.line is None, finding.line or 0, SEVERITIES.index(finding.severity)

    return tuple(sorted(findings, key=place))


def refuse(findings: Iterable[Finding], path: Path | str | None) -> None:
    """Raise the first error of a check.

    Raises:
        InputError: There is one.
    """
    errors = by_place(finding for finding in findings if finding.severity == "error")
    if errors:
        raise InputError(errors[0].sentence, path=path, line=errors[0].line)


def shortened(text: str, length: int = 60) -> str:
    """Cut a text that was read from somewhere, and keep it on one line.

    Example:
        >>> shortened("conv" * 20, 10)
        'convconvco...'
    """
    cut = text if len(text) <= length else f"{text[:length]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Count findings by severity."""
    found = [finding.severity for finding in findings]
    return {severity: found.count(severity) for severity in SEVERITIES}
