"""All checks of a table, ncnn2table's own included; none of them stops at the first problem."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from quantkit.calibration.finding import Finding, by_place, refuse
from quantkit.calibration.line_findings import line_findings
from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.calibration.table_lines import entries, table_lines, table_text
from quantkit.model.network import Network
from quantkit.quantization.lint_layers import fit_findings, runtime_findings
from quantkit.quantization.lint_levels import level_findings
from quantkit.quantization.lint_ranges import Ranges, range_findings
from quantkit.quantization.lint_weights import weight_repair


def lint_table(
    text: str,
    network: Network | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    ranges: Ranges | None = None,
) -> tuple[Finding, ...]:
    r"""Find what is wrong with a table.

    Args:
        text: The table, however broken.
        network: The fp32 network that it is for; without it only the lines are looked at.
        shapes: Shape by blob name, as far as known.
        ranges: Of the layers' inputs, as far as known.

    Returns:
        Findings by line; those about missing lines come last.

    Example:
        >>> for finding in lint_table("conv_param_0 127.0 inf\n\nconv 0.000000 \n"):
        ...     print(finding.text("t")[:52])
        t:1: error: layer 'conv': scale 1 is inf, which is n
        t:2: error: blank line: ncnn2int8 stops reading here
        t:3: error: layer 'conv': scale 0 is zero, or too sm
    """
    return by_place(_all(text, network, shapes or {}, ranges))


def fitting_table(path: Path, network: Network) -> CalibrationTable:
    """Read a table file for a network.

    Raises:
        InputError: The first error that `lint_table` has, but for what the runtime gets wrong.
    """
    text = table_text(path)
    refuse(_fitting(text, network), path)
    return parse_table(text, path)


def _fitting(text: str, network: Network) -> Iterator[Finding]:
    lines = table_lines(text)
    yield from line_findings(lines, weight_repair(network))
    yield from fit_findings(network, entries(lines))


def _all(
    text: str,
    network: Network | None,
    shapes: Mapping[str, Sequence[int]],
    ranges: Ranges | None,
) -> Iterator[Finding]:
    table = entries(table_lines(text))
    if network is None:
        yield from line_findings(table_lines(text))
    else:
        yield from _fitting(text, network)
        yield from runtime_findings(network, table, shapes)
        yield from level_findings(network, table)
    if ranges is not None:
        yield from range_findings(table, ranges)
