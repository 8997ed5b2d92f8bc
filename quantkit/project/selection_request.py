"""What a selection is asked to do."""

from dataclasses import dataclass, replace
from typing import Final

from quantkit.errors import InputError
from quantkit.selection.manifest import CalibrationSet
from quantkit.selection.manifest_fields import Scalar
from quantkit.selection.strategies import OF_IMAGES, OF_NETWORK, strategy_named

DEFAULT_STRATEGY: Final = "random"
DEFAULT_COUNT: Final = 128
AMONG: Final = 1024
"""From larger pools so many are drawn at random before images are read or the network is run."""


@dataclass(frozen=True)
class SelectionRequest:
    """What a selection is asked to do.

    Attributes:
        strategy: How persons are chosen, a key of `quantkit.selection.STRATEGIES`.
        count: How many; by default 128, or all where there are fewer.
        seed: Seed of the choice.
        among: How many of the pool are looked at, where the strategy looks at images or network.
        refuse_outliers: Do not choose persons that alone set the largest value of a layer's input.

    Raises:
        InputError: There is no such strategy.
    """

    strategy: str = DEFAULT_STRATEGY
    count: int | None = None
    seed: int = 0
    among: int = AMONG
    refuse_outliers: bool = False

    def __post_init__(self) -> None:
        strategy_named(self.strategy)

    @property
    def sees_images(self) -> bool:
        """Whether the traits of the candidates decide."""
        return self.strategy in OF_IMAGES

    @property
    def runs_network(self) -> bool:
        """Whether what the network makes of the candidates decides."""
        return self.strategy in OF_NETWORK or self.refuse_outliers

    def sized(self, pool: int) -> "SelectionRequest":
        """Say how many persons are wanted of a pool of so many, and among how many."""
        count = self.count or min(DEFAULT_COUNT, pool)
        return replace(self, count=count, among=min(max(self.among, count), pool))

    def parameters(self, pool: int) -> dict[str, Scalar]:
        """Name what decides beside strategy, count and seed, as the manifest does."""
        drawn = (self.sees_images or self.runs_network) and self.among < pool
        return {
            **({"among": self.among} if drawn else {}),
            **({"refuse_outliers": 1} if self.refuse_outliers else {}),
        }

    @classmethod
    def of(cls, chosen: CalibrationSet) -> "SelectionRequest":
        """Ask again for what a manifest says was chosen.

        Raises:
            InputError: Its parameters are not those of a selection.
        """
        known = chosen.parameters
        among, refuse = known.get("among", chosen.candidates), known.get("refuse_outliers", 0)
        unknown = [name for name in known if name not in ("among", "refuse_outliers")]
        if unknown or not isinstance(among, int) or refuse not in (0, 1):
            message = f"calibration set '{chosen.name}' has parameters of no selection: {known}"
            raise InputError(message)
        return cls(chosen.strategy, chosen.count, chosen.seed, among, refuse == 1)
