"""When a run's process counts as gone."""

from datetime import UTC, datetime

import pytest

from batch_assets.domain.hosts import (
    HUNG_SECONDS,
    SILENT_SECONDS,
    ProcessName,
    RunProcess,
    RunTrace,
    is_gone,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def process(silent_seconds: float, *, has_ended: bool = False) -> RunProcess:
    return RunProcess(ProcessName("h", 1, 2, "host"), NOON, silent_seconds, has_ended)


@pytest.mark.parametrize(
    ("lives", "silent_seconds", "has_ended", "expected"),
    [
        (True, 1, False, False),
        # Its host sees that it lives: it may be short of time or of connections, but not for ever.
        (True, HUNG_SECONDS - 1, False, False),
        (True, HUNG_SECONDS + 1, False, True),
        (False, 1, False, True),
        (None, SILENT_SECONDS - 1, False, False),
        (None, SILENT_SECONDS + 1, False, True),
        # It was done with its part of the run: another process may begin the next.
        (False, 1, True, False),
        (False, SILENT_SECONDS + 1, True, True),
        (True, SILENT_SECONDS + 1, True, True),
    ],
)
def test_a_process_is_gone(
    lives: bool | None, silent_seconds: float, has_ended: bool, expected: bool
) -> None:
    assert is_gone(process(silent_seconds, has_ended=has_ended), lives) is expected


def test_a_run_was_heard_of_when_its_last_process_was() -> None:
    assert RunTrace().last_beat_at is None
    assert RunTrace([process(1), process(2)]).last_beat_at == NOON
