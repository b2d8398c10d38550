"""An incident of the server's own in validation: what waited through it is analysed after it."""

import time
from typing import Any

import pytest

from batch_assets_tests.stages.support import Lab
from batch_assets_tests.stages.time_passing import Clock

HOUR = 3_600
FAULTS: list[dict[str, Any]] = [
    {"errors": [{"code": "invalid_request", "param": "file_id"}]},
    {"errors": [{"code": "internal_error"}]},
    {"without_errors": True},
]


def of(fault: dict[str, Any]) -> str:
    return str(fault.get("errors", [{"code": "none"}])[0]["code"])


@pytest.mark.parametrize("fault", FAULTS, ids=of)
def test_requests_wait_through_an_hour_of_it_and_are_analysed_after_it(
    lab: Lab, fault: dict[str, Any]
) -> None:
    lab = lab.under(retry_base_seconds=300, retry_max_seconds=6 * HOUR)
    incident = {"end_as": "failed", "until": time.time() + HOUR, **fault}
    clock = Clock(lab, moves_server=True, batches=[incident])
    _, ids = lab.company(12)
    clock.run_to_the_end()
    assert lab.bucket_counts() == {"complete": 12}
    assert HOUR < clock.passed < 6 * HOUR
    assert len(lab.batches()) < 24, "the cooldown grows"
    assert lab.times_billed(ids) == [1] * 12
