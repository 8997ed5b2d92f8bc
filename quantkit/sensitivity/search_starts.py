"""Where a search may start from: the table as it is, or one made for the layers that pay alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.methods import METHODS
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.streaming import collect_streaming
from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.journal import Journal
from quantkit.model.network import Network
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.model.vector_convolutions import as_inner_products
from quantkit.progress import Feedback
from quantkit.quantization.int8 import quantize
from quantkit.storage import content_key
from quantkit.tuning.equalization import channel_ranges, equalize
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import sqnr_db
from quantkit.tuning.suffix import Array
from quantkit.tuning.thresholds import best_thresholds
from quantkit.tuning.thresholds_setting import Setting, with_thresholds

_SEARCH, _HELD_OUT = 8, 16
_SILENT = Feedback()


@dataclass(frozen=True, eq=False)
class Start:
    """A network and a table that the search takes layers out of.

    Attributes:
        name: What it is.
        network: The fp32 network that the table belongs to.
        table: Its layers are those that pay.
        statistics: Of its activations, where they were collected anew.
    """

    name: str
    network: Network
    table: CalibrationTable
    statistics: ActivationStatistics | None = None


@dataclass(frozen=True)
class Crops:
    """Crops of the calibration set, and what runs them.

    Attributes:
        all: Inputs of shape (channels, height, width).
        files: The exported fp32 network; its blobs are those of every start.
        threads: How many are run at a time.
        journal: Keeps what is found.
        feedback: Told how it goes.
    """

    all: Sequence[Array]
    files: NcnnFiles
    threads: int = 2
    journal: Journal | None = None
    feedback: Feedback = field(default=_SILENT)

    @property
    def search(self) -> Sequence[Array]:
        """Some, by which choices are made."""
        return self.all[:: max(1, len(self.all) // _SEARCH)][:_SEARCH]

    @property
    def held_out(self) -> Sequence[Array]:
        """Others, by which it is judged whether a choice helps; the same where there are few."""
        chosen = {id(one) for one in self.search}
        others = [one for one in self.all if id(one) not in chosen]
        return others[:: max(1, len(others) // _HELD_OUT)][:_HELD_OUT] or self.search

    def setting(self, network: Network, table: CalibrationTable) -> Setting:
        """Set a search up that runs from the middle of the network."""
        files = self.files
        return Setting(
            network=network,
            table=table,
            input=files.input,
            outputs=files.outputs,
            crops=self.search,
            threads=self.threads,
            journal=self.journal,
            progress=self.feedback.progress,
        )


def calibrated_anew(exported: Network, pays: Sequence[str], crops: Crops) -> Iterator[Start]:
    """Calibrate the layers that pay, in the network as it was exported and equalized.

    A table for all layers has thresholds, and often weights, that make up for layers that are
    not int8 any more.

    Args:
        exported: The fp32 network as it was exported.
        pays: The layers.
        crops: Of the calibration set.

    Raises:
        InputError: A network cannot be run.
    """
    shapes = blob_shapes(exported.param, {crops.files.input: crops.all[0].shape})
    plain = as_inner_products(exported, shapes).network
    yield _calibrated("calibrated anew", plain, exported, pays, crops)
    try:
        ranges = channel_ranges(plain, crops.files.input, crops.all, threads=crops.threads)
        shapes = blob_shapes(plain.param, {crops.files.input: crops.all[0].shape})
        equal = equalize(plain, shapes, crops.files.outputs, ranges).network
    except InputError as error:
        crops.feedback.note(f"search: the network cannot be equalized: {error}")
        return
    yield _calibrated("equalized and calibrated anew", equal, exported, pays, crops)


def _calibrated(
    name: str, network: Network, exported: Network, pays: Sequence[str], crops: Crops
) -> Start:
    files = crops.files
    statistics = collect_streaming(
        network,
        files.input,
        crops.all,
        list(pays),
        crops.feedback.progress,
        crops.threads,
        total=len(crops.all),
    )
    reference = outputs_on(exported, files.input, files.outputs, crops.held_out, crops.threads)

    def db(table: CalibrationTable) -> float:
        got = outputs_on(
            quantize(network, table), files.input, files.outputs, crops.held_out, crops.threads
        )
        return sqnr_db(reference, got)

    tables = [_table(network, statistics, method, pays) for method in METHODS]
    table = max(tables, key=db)
    thresholds = _thresholds(table, statistics, network, crops)
    return Start(name, network, with_thresholds(table, thresholds), statistics)


def _table(
    network: Network, statistics: ActivationStatistics, method: str, pays: Sequence[str]
) -> CalibrationTable:
    table = calibrate(network, statistics, method).table
    return table.only([name for name in table.layers if name in set(pays)])


def _thresholds(
    table: CalibrationTable, statistics: ActivationStatistics, network: Network, crops: Crops
) -> Mapping[str, float]:
    setting = crops.setting(network, table)
    key = content_key([setting.key, "thresholds of the layers that pay"])
    kept = setting.recall(key)
    if kept is None:
        found = best_thresholds(setting, statistics, held_out=crops.held_out)
        kept = dict(found.thresholds)
        setting.keep(key, kept)
    return kept
