"""What a ranking of layers is made of: the network, the table, and the persons that judge."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.provenance import package_versions
from quantkit.calibration.table import CalibrationTable
from quantkit.data.coco import Person
from quantkit.data.preprocess import Crop, InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.head import HeadSpec
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.sensitivity.figures import Labels
from quantkit.storage import content_key, sha256_bytes, sha256_file

SCHEMA = 3


@dataclass(frozen=True)
class Shown:
    """A person as the network sees it."""

    person: Person
    crop: Crop


@dataclass(frozen=True)
class Sweep:
    """Everything that the figures of a layer depend on, as it is sent to a child process.

    Attributes:
        files: The fp32 network that the table belongs to.
        network_sha256: Its content hash.
        original: The fp32 network as it was exported; `files` may hold one whose weights were
            made for the table.
        original_sha256: Its content hash.
        table: The scales; its layers are those that are ranked.
        shown: Persons of the calibration data.
        spec: What a person becomes.
        head: How keypoints are read.
        annotations: The COCO file that labels these persons; None to take what the fp32 network
            says of them.
    """

    files: NcnnFiles
    network_sha256: str
    original: NcnnFiles
    original_sha256: str
    table: CalibrationTable
    shown: tuple[Shown, ...]
    spec: InputSpec
    head: HeadSpec
    annotations: Path | None = None

    def network(self) -> Network:
        """Read the network.

        Raises:
            InputError: It is not what it was when the work began.
        """
        return _read(self.files, self.network_sha256)

    def original_network(self) -> Network:
        """Read the network as it was exported.

        Raises:
            InputError: It is not what it was when the work began.
        """
        return _read(self.original, self.original_sha256)

    @cached_property
    def crops(self) -> Sequence[NDArray[np.float32]]:
        """Inputs of the network, one a person."""
        return [one.crop.tensor for one in self.shown]

    @property
    def labels(self) -> Labels:
        """What an AP of these persons is measured against."""
        return "fp32 keypoints" if self.annotations is None else "labels"

    def some(self, count: int) -> "Sweep":
        """Keep some of the persons, spread evenly."""
        places = np.linspace(0, len(self.shown), count, endpoint=False).astype(int)
        return replace(self, shown=tuple(self.shown[place] for place in places))

    def without(self, layers: Sequence[str]) -> "Sweep":
        """Leave layers in fp32."""
        return replace(self, table=self.table.without(layers))

    @cached_property
    def key(self) -> str:
        """Name all that a measurement depends on, but for what is measured."""
        return content_key(
            {
                "schema": SCHEMA,
                "model": [self.network_sha256, self.original_sha256],
                "blobs": [self.files.input, *self.files.outputs],
                "table": self.table.text(),
                "crops": [_content(one) for one in self.shown],
                "spec": asdict(self.spec),
                "head": asdict(self.head),
                "labels": self.annotations and sha256_file(self.annotations),
                "versions": package_versions(),
            }
        )


def _read(files: NcnnFiles, sha256: str) -> Network:
    network = read_network(files)
    if network.sha256 != sha256:
        message = "changed while its layers were ranked; run it again"
        raise InputError(message, path=files.param)
    return network


def _content(one: Shown) -> list[object]:
    crop = one.crop
    placed = [*crop.center.tolist(), *crop.scale.tolist(), one.person.area]
    return [one.person.annotation_id, sha256_bytes(crop.pixels.tobytes()), placed]
