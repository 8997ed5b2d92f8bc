"""What a selection is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from quantkit.calibration.methods import method_named
from quantkit.errors import InputError
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.manifest_fields import Scalar
from quantkit.selection.strategies import JUDGED, OF_IMAGES, OF_NETWORK, strategy_named

DEFAULT_STRATEGY: Final = "random"
"""For `best`, which chooses thresholds and learns from the crops themselves."""
MEASURED: Final = "measured"
"""For methods that choose thresholds from statistics alone."""
DEFAULT_COUNT: Final = 128
_FEWER: Final[Mapping[str, int]] = {MEASURED: 16}
AMONG: Final = 512
"""From larger pools so many are drawn at random before images are read or the network is run."""


@dataclass(frozen=True)
class SelectionRequest:
    """What a selection is asked to do.

    Attributes:
        strategy: How persons are chosen, a key of `quantkit.selection.STRATEGIES`.
        count: How many; by default 16 where sets are measured, else 128; or all where there are
            fewer.
        seed: Seed of the choice.
        among: How many of the pool are looked at, where the strategy looks at images or network.
        refuse_outliers: Do not choose persons that alone set the largest value of a layer's input.
        method: Calibration method by which sets are measured, where they are.

    Raises:
        InputError: There is no such strategy or method.
    """

    strategy: str = DEFAULT_STRATEGY
    count: int | None = None
    seed: int = 0
    among: int = AMONG
    refuse_outliers: bool = False
    method: str = "kl"

    def __post_init__(self) -> None:
        strategy_named(self.strategy)
        method_named(self.method)

    @property
    def sees_images(self) -> bool:
        """Whether the traits of the candidates decide."""
        return self.strategy in OF_IMAGES

    @property
    def runs_network(self) -> bool:
        """Whether what the network makes of the candidates decides."""
        return self.strategy in OF_NETWORK or self.refuse_outliers

    @property
    def measures(self) -> bool:
        """Whether tables of sets are made and judged."""
        return self.strategy in JUDGED

    def sized(self, pool: int) -> "SelectionRequest":
        """Say how many persons are wanted of a pool of so many, and among how many."""
        count = self.count or min(_FEWER.get(self.strategy, DEFAULT_COUNT), pool)
        return replace(self, count=count, among=min(max(self.among, count), pool))

    def parameters(self, pool: int) -> dict[str, Scalar]:
        """Name what decides beside strategy, count and seed, as the manifest does."""
        drawn = (self.sees_images or self.runs_network) and self.among < pool
        return {
            **({"among": self.among} if drawn else {}),
            **({"refuse_outliers": 1} if self.refuse_outliers else {}),
            **({"method": self.method} if self.measures else {}),
        }

    def name(self, model: str, count: int) -> str:
        """Name a set of so many persons."""
        method = f"-{self.method}" if self.measures else ""
        return f"{model}-{self.strategy}{method}-{count}-seed{self.seed}"

    @classmethod
    def of(cls, chosen: CalibrationSet) -> "SelectionRequest":
        """Ask again for what a manifest says was chosen.

        Raises:
            InputError: Its parameters are not those of a selection.
        """
        known = chosen.parameters
        among, method = known.get("among", chosen.candidates), known.get("method", "kl")
        refuse = known.get("refuse_outliers", 0)
        unknown = [name for name in known if name not in ("among", "refuse_outliers", "method")]
        right = isinstance(among, int) and isinstance(method, str) and refuse in (0, 1)
        if unknown or not right:
            message = f"calibration set '{chosen.name}' has parameters of no selection: {known}"
            raise InputError(message)
        assert isinstance(among, int)
        assert isinstance(method, str)
        return cls(chosen.strategy, chosen.count, chosen.seed, among, refuse == 1, method)
