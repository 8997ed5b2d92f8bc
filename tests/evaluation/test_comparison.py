from dataclasses import replace

import pytest

from quantkit.evaluation.comparison import Comparison, Row
from tests.report.rows import BASELINE, COMPARISON, INT8

GONE = Row("ncnn-int8", "int8", status="unavailable", reason="no pnnx")
FILE = replace(INT8, backend="onnxruntime:theirs.onnx")
FILE_GONE = replace(GONE, backend=FILE.backend, reason="it does not fit")


def compared(*rows: Row) -> Comparison:
    return replace(COMPARISON, baseline=BASELINE.backend, rows=(BASELINE, *rows))


@pytest.mark.parametrize(
    ("rows", "names", "answer"),
    [
        ((INT8,), None, None),
        ((INT8,), ("ncnn-int8",), None),
        ((), None, "no int8 row was measured (but the baseline)"),
        ((), ("pytorch",), "nothing was measured but the baseline"),
        ((GONE,), None, "no int8 row was measured (ncnn-int8: no pnnx)"),
        ((GONE,), ("ncnn-int8",), "not every row was measured (ncnn-int8: no pnnx)"),
        ((GONE, FILE), None, None),
        ((FILE,), ("pytorch",), None),
        ((INT8, FILE_GONE), None, f"not every row was measured ({FILE.backend}: it does not fit)"),
        (
            (INT8, FILE_GONE),
            ("ncnn-int8",),
            f"not every row was measured ({FILE.backend}: it does not fit)",
        ),
    ],
)
def test_a_bound_is_answered_by_every_row_that_was_asked_for(
    rows: tuple[Row, ...], names: tuple[str, ...] | None, answer: str | None
) -> None:
    assert compared(*rows).unmeasured(names) == answer
