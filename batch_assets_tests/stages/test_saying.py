"""Warnings that come once a batch: a handful, then how many more."""

import pytest

from batch_assets.domain.logs import open_log
from batch_assets.stages.saying import MOST, Few

log = open_log("batch_assets.stages.test")


def test_the_first_few_of_each_kind_are_said_and_the_rest_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Few(log) as few:
        for number in range(MOST + 40):
            few.warning("Batch %d of %s is late", number, "Oost")
        few.warning("File %s is left behind", "file-1")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        *(f"Batch {number} of Oost is late" for number in range(MOST)),
        "File file-1 is left behind",
        f"And 40 more like it, the last: Batch {MOST + 39} of Oost is late",
    ]


def test_what_was_said_before_is_not_counted_again(caplog: pytest.LogCaptureFixture) -> None:
    few = Few(log)
    for _ in range(2):
        for _ in range(MOST):
            few.warning("Late")
        few.close()
    assert len(caplog.records) == 2 * MOST


def test_text_from_others_ends_no_line_and_steers_no_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Few(log) as few:
        few.warning("Batch of %s: %s", "A\x1b[2J\nB\u2028\u202e", ValueError("\x9b1m"))
    (record,) = caplog.records
    assert record.getMessage() == r"Batch of A\x1b[2J B \u202e: \x9b1m"
