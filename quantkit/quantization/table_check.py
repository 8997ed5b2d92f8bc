"""Whether a table fits a network: the names, the counts and the scales."""

from quantkit.calibration.finding import refuse
from quantkit.calibration.table import CalibrationTable
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.quantization.lint_layers import fit_findings


def check_table(network: Network, table: CalibrationTable) -> tuple[Layer, ...]:
    """Check that a table fits a network.

    A layer with a weight line alone stays in fp32, as with ncnn2int8.

    Returns:
        The layers that the table makes int8, in the order of the .param.

    Raises:
        InputError: The first error that `fit_findings` has; layer and line are named.
    """
    path = None if table.source is None else table.source.path or "table"
    refuse(fit_findings(network, table.entries(), small=False), path)
    return tuple(layer for layer in int8_layers(network) if layer.name in table.activation_scales)
