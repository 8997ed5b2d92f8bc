"""What a calibration is asked to do."""

from dataclasses import dataclass
from typing import Any, Final, get_args

from quantkit.calibration.compat import CompatMethod
from quantkit.calibration.methods import METHODS, method_named
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.layer_patterns import matching_layers
from quantkit.model.network import Network
from quantkit.project.selection_request import DEFAULT_STRATEGY, MEASURED, SelectionRequest
from quantkit.tuning.recipe import Recipe

BEST: Final = "best"
"""The method that takes the steps of a recipe; the others choose thresholds from statistics."""

EASY_QUANT: Final = "eq"
"""ncnn2table's method that searches scales by each layer's own output."""

NCNN2TABLE: Final = (*get_args(CompatMethod), EASY_QUANT)
"""The methods of ncnn2table."""

NAMES: Final = (BEST, *METHODS)
"""Methods by name; a table of such a name is made when it is asked for."""

_WHOLE: Final = Recipe()


@dataclass(frozen=True)
class CalibrationRequest:
    """What a calibration is asked to do.

    Attributes:
        method: How thresholds are chosen.
        recipe: Which steps `best` takes.
        compat: Do all as ncnn2table does: its passes, its 6-bit rule, its hazards.
        calib_set: Name of a manifest to use; by default a set is chosen.
        selection: How crops are chosen otherwise; by default as `default_selection` says.
        name: Name of the table; by default the method's.
        keep_hazards: Also quantize the layers that the runtime gets wrong.
        budget_s: Seconds that `best` may take, what does not fit is left out; None for no end.
        keep_fp32: Layers that stay in fp32, and are calibrated around, as `matching_layers` takes
            them.

    Raises:
        InputError: There is no such method, or it does not go with the rest.
    """

    method: str = BEST
    recipe: Recipe = _WHOLE
    compat: bool = False
    calib_set: str | None = None
    selection: SelectionRequest | None = None
    name: str | None = None
    keep_hazards: bool = False
    budget_s: float | None = 600.0
    keep_fp32: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.compat and self.method not in NCNN2TABLE:
            message = f"ncnn2table has the methods {', '.join(NCNN2TABLE)}, not '{self.method}'"
            raise InputError(message)
        if self.method == EASY_QUANT and not self.compat:
            raise InputError("'eq' is ncnn2table's: ask for it with --compat ncnn2table")
        if self.method == BEST and self.keep_hazards:
            raise InputError(
                "'best' runs its candidates: layers that the runtime gets wrong stay fp32"
            )
        if self.method not in (BEST, EASY_QUANT):
            method_named(self.method)

    @property
    def selected(self) -> SelectionRequest:
        """How crops are chosen."""
        return self.selection or default_selection(self.method)

    @property
    def table_name(self) -> str:
        """Name of the table."""
        return self.name or (f"ncnn2table-{self.method}" if self.compat else self.method)

    def kept_fp32(self, network: Network) -> tuple[str, ...]:
        """Name the layers of a network that are asked to stay in fp32.

        Raises:
            InputError: A pattern matches none that could be int8, or all are asked for.
        """
        layers = int8_layers(network)
        kept = matching_layers(self.keep_fp32, layers, "those that could be int8")
        if kept and len(kept) == len(layers):
            message = "--keep-fp32 leaves no layer to calibrate: run the network in fp32"
            raise InputError(message)
        return kept

    def origin(self) -> dict[str, Any]:
        """Say how a table that is asked for is made, as fields of its provenance."""
        return {
            "method": self.method,
            "compat": self.compat,
            "recipe": self.recipe.to_json() if self.method == BEST else None,
            "keep_hazards": self.keep_hazards or self.compat,
        }


def default_selection(method: str, strategy: str | None = None) -> SelectionRequest:
    """Say how crops are chosen for a method, which the measurements in the README favour.

    Args:
        method: The method of a table.
        strategy: Takes the place of the method's.

    Raises:
        InputError: There is no such strategy.

    Example:
        >>> default_selection("kl").strategy, default_selection("best").strategy
        ('measured', 'random')
    """
    if method not in METHODS:
        return SelectionRequest(strategy or DEFAULT_STRATEGY)
    return SelectionRequest(strategy or MEASURED, method=method)
