"""The raw outputs of a network on a few persons of a data set, the same few for every network."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.data.coco import Person
from quantkit.selection.seeded_order import seeded_order
from quantkit.storage import write_atomically
from quantkit.tuning.sqnr import Outputs, sqnr_by_output

_SEED: Final = 0
_MOST_PERSONS: Final = 32
_MOST_BYTES: Final = 32 << 20
_KEY: Final = "key"


class OutputSample:
    """Keeps the outputs of the first 32 persons of a seeded order, or as many as fit into 32 MB.

    Args:
        persons: Of the data set.
    """

    def __init__(self, persons: Sequence[Person]) -> None:
        order = seeded_order(persons, _SEED)[:_MOST_PERSONS]
        self._wanted = {persons[index].annotation_id: persons[index] for index in order}
        self._kept: dict[int, Outputs] = {}

    def keep(self, person: Person, outputs: Sequence[NDArray[np.float32]]) -> None:
        """Take the outputs of a person, if it is one of the sample."""
        if not self._kept:
            fitting = max(1, _MOST_BYTES // max(1, sum(one.nbytes for one in outputs)))
            self._wanted = dict(list(self._wanted.items())[:fitting])
        if person.annotation_id in self._wanted:
            self._kept[person.annotation_id] = tuple(outputs)

    @property
    def missing(self) -> tuple[Person, ...]:
        """The persons of the sample whose outputs are not kept yet."""
        return tuple(one for number, one in self._wanted.items() if number not in self._kept)

    def sqnr_db(self, baseline: "OutputSample") -> tuple[float, ...] | None:
        """Compare each output with the baseline's, over all persons of the sample.

        Returns:
            Decibels of each output, as `sqnr_by_output` gives them; None where the two networks
            have outputs of other shapes, or other persons.
        """
        pairs = [(baseline._kept.get(number), one) for number, one in self._ordered().items()]
        if not pairs or any(r is None or _shapes(r) != _shapes(q) for r, q in pairs):
            return None
        return tuple(
            round(one, 4)
            for one in sqnr_by_output([r for r, _ in pairs if r], [q for _, q in pairs])
        )

    def _ordered(self) -> dict[int, Outputs]:
        """The outputs in the order of the sample, whatever the order in which they came."""
        return {number: self._kept[number] for number in self._wanted if number in self._kept}

    def write(self, path: Path, key: str) -> None:
        """Keep the sample for a later run with the same key.

        Raises:
            InputError: The file cannot be written.
        """
        kept = self._ordered()
        stacked = map(np.stack, zip(*kept.values(), strict=True))
        arrays: dict[str, Any] = {str(number): one for number, one in enumerate(stacked)}
        file = io.BytesIO()
        np.savez(file, persons=list(kept), **{_KEY: np.array(key)}, **arrays)
        write_atomically(path, file.getvalue())

    def read(self, path: Path, key: str) -> bool:
        """Read a sample back, bit for bit; False where there is none or it has another key."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                if str(file[_KEY]) != key:
                    return False
                persons = file["persons"].tolist()
                outputs = [file[str(number)] for number in range(len(file.files) - 2)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        for number, one in zip(persons, zip(*outputs, strict=True), strict=True):
            if number in self._wanted:
                self.keep(self._wanted[number], one)
        return not self.missing


def _shapes(outputs: Outputs) -> list[tuple[int, ...]]:
    return [one.shape for one in outputs]
