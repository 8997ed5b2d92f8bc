"""The lines of `selection_proof` as a table and as a picture.

`python -m tests.benchmarks.selection_summary proof.jsonl ... --out calib_sets/selection` writes
`calib_sets/selection.csv` and `.png`, and prints the table.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from quantkit.report.plots.figure import Axes, Figure, picture
from quantkit.selection import STRATEGIES
from quantkit.storage import write_atomically

_COLORS: Final = (
    "#b0b0b0",
    "#1a1a1a",
    "#9467bd",
    "#2ca02c",
    "#8c564b",
    "#1f77b4",
    "#ff7f0e",
    "#d62728",
)


@dataclass(frozen=True)
class Row:
    """The sets of one size that a strategy chose from several halves of the pool.

    Decibels are the output SQNR, on training crops of the other half and on evaluation crops; the
    drop is the AP lost against fp32 on the evaluation images. `worst` is the least SQNR and the
    largest drop; `scales` the relative standard deviation of the median layer's scale.
    """

    net: str
    method: str
    crops: int
    strategy: str
    halves: int
    train_db: float
    train_spread: float
    val_db: float
    val_spread: float
    val_worst: float
    drop: float
    drop_spread: float
    drop_worst: float
    scales: float


def rows_of(lines: Iterable[str]) -> list[Row]:
    """Sum the lines of journals up."""
    found: dict[tuple[str, str, int, str], list[dict[str, Any]]] = {}
    for line in lines:
        record = json.loads(line)
        net, method, strategy, size, _ = record["key"].split()
        found.setdefault((net, method, int(size), strategy), []).append(record["value"])
    order: list[str] = list(STRATEGIES)
    keys = sorted(found, key=lambda key: (key[0], key[1], key[2], order.index(key[3])))
    return [_row(key, found[key]) for key in keys]


def _row(key: tuple[str, str, int, str], values: Sequence[dict[str, Any]]) -> Row:
    train, val, drop = (
        np.array([one[name] for one in values]) for name in ("train_db", "val_db", "drop")
    )
    return Row(
        *key,
        len(values),
        round(float(train.mean()), 2),
        _spread(train),
        round(float(val.mean()), 2),
        _spread(val),
        round(float(val.min()), 2),
        round(float(drop.mean()), 4),
        round(_deviation(drop), 4),
        round(float(drop.max()), 4),
        round(_scales([one["scales"] for one in values]), 4),
    )


def _deviation(values: Sequence[float] | np.ndarray[Any, Any]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _spread(values: np.ndarray[Any, Any]) -> float:
    return round(_deviation(values), 2)


def _scales(tables: Sequence[dict[str, float]]) -> float:
    common = [name for name in tables[0] if all(name in table for table in tables)]
    columns = [[table[name] for table in tables] for name in common]
    return float(np.median([_deviation(one) / np.mean(one) for one in columns]))


def as_csv(rows: Sequence[Row]) -> str:
    """Write the rows, with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(map(astuple, rows))
    return text.getvalue()


def draw(rows: Sequence[Row], method: str = "kl") -> bytes:
    """Draw SQNR and drop on evaluation crops against the size, a column a network."""
    rows = [row for row in rows if row.method == method]
    nets = list(dict.fromkeys(row.net for row in rows))

    def panels(figure: Figure) -> None:
        grid = figure.subplots(2, len(nets), squeeze=False)
        for column, net in enumerate(nets):
            mine = [row for row in rows if row.net == net]
            _panel(grid[0][column], mine, "val_db", "val_spread", "val_worst")
            _panel(grid[1][column], mine, "drop", "drop_spread", "drop_worst")
            grid[0][column].set_title(f"{net}: output SQNR, dB")
            grid[1][column].set_title("AP drop")
            grid[1][column].set_xlabel("crops")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))

    return picture(4.2 * len(nets), 7, panels)


def _panel(axes: Axes, rows: Sequence[Row], mean: str, spread: str, worst: str) -> None:
    sizes = sorted({row.crops for row in rows})
    for place, (name, color) in enumerate(zip(STRATEGIES, _COLORS, strict=True)):
        mine = [row for row in rows if row.strategy == name]
        # Side by side: strategies that are alike must not hide each other.
        x = [row.crops * 2 ** (0.09 * (place - 3)) for row in mine]
        middle = [getattr(row, mean) for row in mine]
        error = [getattr(row, spread) for row in mine]
        width = 2.2 if name == "random" else 1.4
        axes.errorbar(
            x, middle, error, color=color, marker="o", markersize=4, linewidth=width, label=name
        )
        axes.plot(x, [getattr(row, worst) for row in mine], "x", color=color, markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xticks([], minor=True)


def main() -> None:
    """Sum journals up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journals", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = rows_of(line for path in given.journals for line in path.read_text().splitlines())
    write_atomically(given.out.with_suffix(".csv"), as_csv(rows))
    write_atomically(given.out.with_suffix(".png"), draw(rows))
    for row in rows:
        sys.stdout.write(
            f"{row.net:<11}{row.method:<5}{row.crops:>4} {row.strategy:<11}{row.halves:>3} halves"
            f"  train {row.train_db:6.2f} ± {row.train_spread:4.2f}"
            f"  val {row.val_db:6.2f} ± {row.val_spread:4.2f}, worst {row.val_worst:6.2f}"
            f"  drop {row.drop:+.4f} ± {row.drop_spread:.4f}, worst {row.drop_worst:+.4f}"
            f"  scales {row.scales:.1%}\n"
        )


if __name__ == "__main__":
    main()
