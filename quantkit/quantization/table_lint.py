"""All checks of a table, ncnn2table's own included; none of them stops at the first problem."""

from collections.abc import Iterator, Mapping, Sequence

from quantkit.model.network import Network
from quantkit.quantization.finding import SEVERITIES, Finding
from quantkit.quantization.lint_layers import layer_findings
from quantkit.quantization.lint_levels import level_findings
from quantkit.quantization.lint_lines import line_findings
from quantkit.quantization.table_lines import entries, table_lines


def lint_table(
    text: str,
    network: Network | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Finding, ...]:
    r"""Find what is wrong with a table.

    Args:
        text: The table, however broken.
        network: The fp32 network that it is for; without it only the lines are looked at.
        shapes: Shape by blob name, as far as known.

    Returns:
        Findings by line; those about missing lines come last.

    Example:
        >>> for finding in lint_table("conv_param_0 127.0 inf\n\nconv 0.000000 \n"):
        ...     print(finding.text("t")[:52])
        t:1: error: layer 'conv': scale 1 is inf, which is n
        t:2: error: blank line: ncnn2int8 stops reading here
        t:3: error: layer 'conv': scale 0 is zero, or too sm
    """
    return tuple(sorted(_all(text, network, shapes or {}), key=_place))


def _all(
    text: str, network: Network | None, shapes: Mapping[str, Sequence[int]]
) -> Iterator[Finding]:
    lines = table_lines(text)
    yield from line_findings(lines)
    if network is not None:
        table = entries(lines)
        yield from layer_findings(network, table, shapes)
        yield from level_findings(network, table)


def _place(finding: Finding) -> tuple[bool, int, int]:
    return finding.line is None, finding.line or 0, SEVERITIES.index(finding.severity)
