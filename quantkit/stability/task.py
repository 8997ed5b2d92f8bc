"""What a curve is made of: the network, the sets, and the persons that judge their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from quantkit.calibration.provenance import package_versions
from quantkit.data.coco import Person
from quantkit.data.preprocess import InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.head import HeadSpec
from quantkit.model.network import Network, read_network
from quantkit.model.source import NcnnFiles
from quantkit.storage import content_key, sha256_file

_SCHEMA = 1


@dataclass(frozen=True)
class CurveTask:
    """Everything that the points of a curve depend on, as it is sent to a child process.

    Attributes:
        files: The fp32 network.
        network_sha256: Its content hash.
        method: Calibration method.
        spec: What a person becomes.
        head: How keypoints are read; without a flip test.
        sizes: Sizes of the sets, ascending.
        orders: By seed, the persons in the order in which sets grow: as many as the largest size,
            or more for disjoint sets.
        pool: How many persons the orders were drawn from.
        judges: The persons that judge; none of them is in an order.
        labels: The COCO file that labels the judges; None to take what the fp32 network says.
        images: Content hash of each image file.
        journal: Where finished work is kept.
        tolerance: Share by which scales of disjoint sets may differ.
        threads: Crops that are run at a time.
    """

    files: NcnnFiles
    network_sha256: str
    method: str
    spec: InputSpec
    head: HeadSpec
    sizes: tuple[int, ...]
    orders: Mapping[int, tuple[Person, ...]]
    pool: int
    judges: tuple[Person, ...]
    labels: Path | None
    images: Mapping[Path, str]
    journal: Path
    tolerance: float
    threads: int = 2

    def network(self) -> Network:
        """Read the network.

        Raises:
            InputError: It is not what it was when the work began.
        """
        network = read_network(self.files)
        if network.sha256 != self.network_sha256:
            message = "changed while its curve was measured; run it again"
            raise InputError(message, path=self.files.param)
        return network

    def base_key(self) -> str:
        """Name all that a measurement depends on, but for the crops that calibrate.

        Raises:
            InputError: The labels cannot be read.
        """
        return content_key(
            {
                "schema": _SCHEMA,
                "model": self.network_sha256,
                "blobs": [self.files.input, *self.files.outputs],
                "method": self.method,
                "spec": asdict(self.spec),
                "head": asdict(self.head),
                "judges": self._contents(self.judges),
                "labels": self.labels and sha256_file(self.labels),
                "versions": package_versions(),
            }
        )

    def set_key(self, base: str, *sets: Sequence[Person]) -> str:
        """Name a measurement on sets; the order of a set does not matter."""
        return content_key([base, *(sorted(self._contents(one)) for one in sets)])

    def _contents(self, persons: Sequence[Person]) -> list[list[object]]:
        return [[one.annotation_id, self.images[one.image], one.box, one.area] for one in persons]
