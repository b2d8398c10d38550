"""Warnings that come once a batch: a handful, then how many more."""

import pytest

from batch_assets.domain.logs import MOST_OF_A_KIND, RateLimitedLogger, open_log

log = open_log("batch_assets.stages.test")


def test_the_first_few_of_each_kind_are_said_and_the_rest_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RateLimitedLogger(log) as limited_log:
        for number in range(MOST_OF_A_KIND + 40):
            limited_log.warning("Batch %d of %s is late", number, "Oost")
        limited_log.warning("File %s is left behind", "file-1")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        *(f"Batch {number} of Oost is late" for number in range(MOST_OF_A_KIND)),
        "File file-1 is left behind",
        f"And 40 more like it, the last: Batch {MOST_OF_A_KIND + 39} of Oost is late",
    ]


def test_what_was_said_before_is_not_counted_again(caplog: pytest.LogCaptureFixture) -> None:
    limited_log = RateLimitedLogger(log)
    for _ in range(2):
        for _ in range(MOST_OF_A_KIND):
            limited_log.warning("Late")
        limited_log.close()
    assert len(caplog.records) == 2 * MOST_OF_A_KIND


def test_text_from_others_ends_no_line_and_steers_no_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RateLimitedLogger(log) as limited_log:
        limited_log.warning("Batch of %s: %s", "A\x1b[2J\nB\u2028\u202e", ValueError("\x9b1m"))
    (record,) = caplog.records
    assert record.getMessage() == r"Batch of A\x1b[2J B \u202e: \x9b1m"
