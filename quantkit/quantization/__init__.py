"""From a calibration table to the int8 network."""

from quantkit.model.eligibility import quantized_layers
from quantkit.quantization.int8 import quantize
from quantkit.quantization.table_check import check_table

__all__ = ["check_table", "quantize", "quantized_layers"]
