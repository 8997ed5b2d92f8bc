"""The threshold that clips nothing: the largest absolute value."""

from quantkit.calibration.blob_statistics import BlobStatistics


def threshold(statistics: BlobStatistics) -> float:
    """Choose the absolute value that becomes 127: the largest there is."""
    return statistics.absmax
