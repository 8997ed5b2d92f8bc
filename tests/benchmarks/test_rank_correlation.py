"""Does the cheap ranking, on a few crops, agree with the full one, by OKS on many?

Run with `pytest tests/benchmarks/test_rank_correlation.py`; minutes a net. How far the OKS of one
half of the crops agrees with that of the other says what agreement can be hoped for.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.sensitivity.judge import Judge
from quantkit.sensitivity.plan import Effort
from quantkit.sensitivity.sessions import Session
from quantkit.sensitivity.spearman import spearman
from quantkit.sensitivity.sweep import Sweep
from quantkit.tuning.sqnr import Outputs
from tests.benchmarks.real_sweeps import MODELS, real_sweep

PERSONS = 128
CHEAP = range(0, PERSONS, PERSONS // Effort().crops)
HALVES = range(0, PERSONS, 2), range(1, PERSONS, 2)


class Part:
    """Some of the persons of a session."""

    def __init__(self, sweep: Sweep, reference: list[Outputs], places: range) -> None:
        shown = tuple(sweep.shown[place] for place in places)
        self.places = places
        self.judge = Judge(replace(sweep, shown=shown), [reference[place] for place in places])

    def figures(self, outputs: list[Outputs]) -> tuple[float, float]:
        effect = self.judge.effect([outputs[place] for place in self.places])
        assert effect.peak_noise_db is not None
        assert effect.oks_drop is not None
        return -effect.peak_noise_db, effect.oks_drop


@pytest.mark.parametrize("name", MODELS)
def test_the_cheap_ranking_agrees_with_the_full_one(
    real_data: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = real_sweep(real_data, name, PERSONS)
    session = Session(sweep)
    walk = session.walk(session.network)
    places = (range(PERSONS), CHEAP, *HALVES)
    whole, cheap, first, second = (Part(sweep, session.reference, one) for one in places)
    rows: list[tuple[float, ...]] = []
    for layer in sweep.table.layers:
        swaps = {layer: session.forms.in_int8(layer)}
        outputs = walk.outputs(layer, walk.before(layer), swaps)
        oks = (part.figures(outputs)[1] for part in (whole, first, second))
        rows.append((cheap.figures(outputs)[0], *oks))
    few, full, one, other = zip(*rows, strict=True)
    agreement, ceiling = spearman(few, full), spearman(one, other)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: peak noise on {len(CHEAP)} crops with OKS on {PERSONS}: {agreement:.3f};"
            f" OKS on one half with OKS on the other: {ceiling:.3f}\n"
        )
    assert agreement is not None
    assert agreement >= 0.88
