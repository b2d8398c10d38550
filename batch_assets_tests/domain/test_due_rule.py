"""When a company is due."""

import pytest

from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.records import Backlog

RULE = DueRule(min_requests=10, max_wait_seconds=1_800)


@pytest.mark.parametrize(
    ("requests", "oldest", "due"),
    [
        (0, 0.0, False),
        (0, 9_999.0, False),
        (1, 0.0, False),
        (9, 1_799.9, False),
        (10, 0.0, True),
        (1, 1_800.0, True),
        (5_000, 86_400.0, True),
    ],
)
def test_a_company_is_due_with_enough_requests_or_an_old_one(
    requests: int, oldest: float, due: bool
) -> None:
    assert RULE.is_due(Backlog("c1", requests, oldest)) is due
